import { describe, expect, it } from '@jest/globals'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { temporaryDirectory } from '../../../test/helpers/temporary-directory.ts'

const main = join(import.meta.dirname, 'main.ts')
/** Nobody listens there; the dashboard starts all the same. */
const redis = 'redis://127.0.0.1:1'

describe('the dashboard’s process', () => {
  it('says in one line that its port is taken, and writes nothing', async () => {
    await using directory = await temporaryDirectory()
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const child = start(directory.path, { REDIS_URL: redis, DASHBOARD_PORT: String(port) })
    const [said] = await Promise.all([text(child.stderr), once(child, 'exit')])
    other.close()
    expect(child.exitCode).toBe(2)
    expect(said.split('\n')).toHaveLength(2)
    expect(said).toContain(`Port ${port} of 127.0.0.1 is taken`)
    expect(said).toContain(`DASHBOARD_PORT=${port + 1} npm start`)
    expect(readdirSync(directory.path)).toEqual([])
  })

  it('names what is wrong in its configuration', async () => {
    await using directory = await temporaryDirectory()
    const child = start(directory.path, { REDIS_URL: redis, DASHBOARD_HOST: '0.0.0.0' })
    const [said] = await Promise.all([text(child.stderr), once(child, 'exit')])
    expect(child.exitCode).toBe(2)
    expect(said).toContain('DASHBOARD_PASSWORD')
    expect(said).not.toMatch(/^\s+at /m)
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('ends with status 0 on %s', async (signal) => {
    await using directory = await temporaryDirectory()
    const child = start(directory.path, { REDIS_URL: redis, DASHBOARD_PORT: '0' })
    for await (const line of createInterface(child.stderr)) {
      if (line.includes('The dashboard is at http://127.0.0.1:')) child.kill(signal)
    }
    if (child.exitCode === null) await once(child, 'exit')
    expect([child.exitCode, child.signalCode]).toEqual([0, null])
  })
})

function start(directory: string, env: Record<string, string>) {
  return spawn(process.execPath, [main], {
    cwd: directory,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}
