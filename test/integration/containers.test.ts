import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { memorySettings } from '@securyflex/shared/segments'

const root = resolve(import.meta.dirname, '../..')
const compose = readFileSync(resolve(root, 'docker-compose.yml'), 'utf8')
const dockerfile = readFileSync(resolve(root, 'Dockerfile'), 'utf8')
const own = ['producer', 'worker', 'dashboard']

/** The lines of one block: of a service, or of the anchor that the product's own services share. */
function block(heading: RegExp): string {
  const lines = compose.split('\n')
  const start = lines.findIndex((line) => heading.test(line))
  const indent = /^ */.exec(lines[start] ?? '')?.[0].length ?? 0
  const length = lines
    .slice(start + 1)
    .findIndex((line) => line !== '' && (/^ */.exec(line)?.[0].length ?? 0) <= indent)
  return lines.slice(start, length === -1 ? undefined : start + 1 + length).join('\n')
}

const service = (name: string) => block(new RegExp(`^  ${name}:$`))
const shared = block(/^x-app:/)

describe('docker-compose.yml', () => {
  it.each(own)('runs the %s from the shared block, with the same volumes', (name) => {
    expect(service(name)).toContain('<<: *app')
    expect(service(name)).not.toMatch(/^ {4}volumes:/m)
  })

  it('gives all workers one spool, and lets there be several', () => {
    expect(shared).toContain('- spool:/spool')
    expect(shared).toContain('BACKUP_SPOOL_DIR: /spool')
    expect(compose).not.toMatch(/container_name|^ {4}hostname/m)
    expect(service('worker')).not.toContain('ports:')
  })

  it('publishes nothing but the dashboard, on loopback', () => {
    const published = [...compose.matchAll(/ports:\n((?: +- .*\n)+)/g)].map(([, ports]) => ports?.trim())
    expect(published).toEqual([`- '127.0.0.1:\${DASHBOARD_PORT:-3000}:3000'`])
  })

  it('demands a password for the dashboard, and shows no secret in a process list', () => {
    expect(service('dashboard')).toContain('${DASHBOARD_PASSWORD:?')
    expect(compose.match(/^ +(?:command|test):.*(?:PASSWORD|KEY|SECRET).*$/gm)).toBeNull()
  })

  it('starts again what died, and waits for servers until they answer', () => {
    for (const block of [shared, service('redis'), service('postgres')]) {
      expect(block).toContain('restart: unless-stopped')
    }
    for (const name of ['redis', 'postgres', 'dashboard']) expect(service(name)).toContain('healthcheck:')
    expect(shared.match(/condition: service_healthy/g)).toHaveLength(2)
  })

  it('asks for health without a space in an argument, at which podman would split it', () => {
    const checks = [...compose.matchAll(/test: \[(.*)\]$/gm)].map(([, words = '']) => words.split(', '))
    expect(checks).toHaveLength(3)
    expect(checks.flat().filter((word) => word.includes(' '))).toEqual([])
  })

  it('gives the containers of the product no privilege and nothing to write to but volumes', () => {
    expect(shared).toContain('cap_drop: [ALL]')
    expect(shared).toContain('read_only: true')
    expect(shared).toContain('tmpfs: [/tmp]')
    expect(shared).toContain('no-new-privileges:true')
  })
})

describe('Dockerfile', () => {
  it('has malloc keep the memory that segments come and go in', () => {
    for (const [name, value] of Object.entries(memorySettings))
      expect(dockerfile).toMatch(new RegExp(`^ENV .*\\b${name}=${value}\\b`, 'm'))
  })

  it('runs the product as another user than root, below an init that passes signals on', () => {
    expect(dockerfile).toMatch(/^USER node$/m)
    expect(dockerfile).toMatch(/^ENTRYPOINT \["tini", "--", "node", /m)
    expect(dockerfile).toMatch(/^RUN install -d -o node -g node -m 0700 \/backups \/spool$/m)
  })
})
