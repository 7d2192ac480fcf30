import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createDatabase, type TestDatabase } from './helpers/postgres.ts'
import { freePort } from './helpers/free-port.ts'
import { type TemporaryDirectory, temporaryDirectory } from './helpers/temporary-directory.ts'

const root = resolve(import.meta.dirname, '..')
/** Every line of every `sh` block of the README, in order. */
const lines = [...readFileSync(resolve(root, 'README.md'), 'utf8').matchAll(/^```sh\n(.*?)^```/gms)]
  .flatMap((match) => (match[1] ?? '').split('\n'))
  .filter((line) => line !== '')

/** Lines that run this very suite, or that another test of the long run is about. */
const elsewhere = ['npm run demo', 'npm test', 'npm run check']
/** Lines that need the service of `npm start`. */
const withService = ['npm run enqueue-job shop']

let database: TestDatabase
let second: TestDatabase
let directory: TemporaryDirectory
let env: Record<string, string>

beforeAll(async () => {
  ;[database, second] = [await createDatabase(), await createDatabase()]
  directory = await temporaryDirectory()
  await database.query('CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 1000) AS n')
  await writeFile(directory.join('backup.config.yaml'), '# The lines of the README add to it.\n')
  env = {
    ...inherited(),
    BACKUP_CONFIG: directory.join('backup.config.yaml'),
    PGPASSWORD: database.password,
    DATABASE_URL: database.url,
    BACKUP_SOURCE: 'shop',
    BACKUP_DIR: directory.join('backups'),
    BACKUP_ENCRYPTION: 'true',
    BACKUP_ENCRYPTION_KEY: 'a key for the lines of the README',
    DASHBOARD_PORT: String(await freePort()),
  }
})

afterAll(async () => {
  await database.query('DROP DATABASE IF EXISTS shop_restored WITH (FORCE)')
  await database.drop()
  await second.drop()
  await directory.remove()
})

describe('the README', () => {
  it('has the lines that this test knows how to try', () => {
    expect(lines).toEqual(
      expect.arrayContaining([...elsewhere, ...withService, 'npm start', 'npm run backup']),
    )
  })

  it.each(lines.filter((line) => ![...elsewhere, ...withService, 'npm start'].includes(line)))(
    'tells a line that works: %s',
    async (line) => {
      // Where a line names a database of the reader’s, the test has its own.
      const own = line.replace(/postgresql:\/\/\S+\/wiki/, second.url.replace(`:${second.password}`, ''))
      const { status, output } = await sh(line.startsWith('export DATABASE_URL=') ? 'true' : own)
      expect({ line, status, output }).toEqual({ line, status: 0, output })
    },
    120_000,
  )

  it('tells a line that starts a service, which others then find', async () => {
    const service = start('npm start')
    const said = follow(service)
    await said.until(/Serving all steps/)
    for (const line of withService) {
      const { status, output } = await sh(line)
      expect({ line, status, output }).toEqual({ line, status: 0, output })
      expect(output).toMatch(/shop\.\d{8}T\d{6}Z\.[0-9a-f]{4}/)
    }
    const exit = once(service, 'exit')
    service.kill('SIGINT')
    expect(await exit).toEqual([expect.anything(), null])
  })
})

function start(line: string): ChildProcess {
  return spawn('sh', ['-c', `exec ${line}`], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
}

async function sh(line: string): Promise<{ status: number; output: string }> {
  const child = spawn('sh', ['-c', `${line} 2>&1`], { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number]>])
  return { status, output }
}

function follow(child: ChildProcess): { until(pattern: RegExp): Promise<void> } {
  let said = ''
  return {
    until: (pattern) =>
      new Promise((done, failed) => {
        const look = (chunk: Buffer) => {
          said += chunk.toString()
          if (pattern.test(said)) done()
        }
        child.stdout?.on('data', look)
        child.stderr?.on('data', look)
        child.once('exit', () => {
          failed(new Error(`it ended before it said ${String(pattern)}:\n${said}`))
        })
      }),
  }
}

/** The test run's environment without what npm and this project put there. */
function inherited(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || /^(npm_|BACKUP_|DATABASE_URL|REDIS_URL|DASHBOARD_|WORKER_|PG)/i.test(name)
        ? []
        : [[name, value]],
    ),
  )
}
