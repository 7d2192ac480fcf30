import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { startThrowawayServer, type ThrowawayServer } from '@securyflex/shared/postgres'
import { listRuns } from '@securyflex/shared/repository'
import pg from 'pg'
import { startCommand, until } from '../helpers/command.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { type StandInTools, standInTools } from '../helpers/stand-in-tools.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'
import { tiedToUs } from '../run/tied-to-us.ts'

const minute = 60_000
const rows = 20_000

let server: ThrowawayServer
/** What runs on the server's data since it was restarted. */
let restarted: ChildProcess | undefined
let tools: StandInTools
let installation: Installation
let directory: TemporaryDirectory
/** Files by which the pg_dump of the test says that it is in the middle, and is told to go on. */
let [halfWay, goOn] = ['', '']

beforeAll(async () => {
  directory = await temporaryDirectory()
  ;[halfWay, goOn] = [directory.join('half-way'), directory.join('go-on')]
  server = await startThrowawayServer({ listen: 'loopback' })
  await query(
    `CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 8) AS note FROM generate_series(1, ${String(rows)}) AS n`,
  )
  tools = await standInTools()
  installation = await startInstallation({
    DATABASE_URL: server.connectionString,
    BACKUP_PG_BIN_DIR: tools.path,
    // A server that restarts is back before the last try.
    WORKER_RETRY_DELAY: '3000',
  })
}, minute)

beforeEach(async () => {
  await rm(halfWay, { force: true })
  await rm(goOn, { force: true })
  // It stops half-way until it is told to go on, or its shell is gone; its status is that of the real one.
  const wait = `while [ ! -e ${goOn} ] && kill -0 $$ 2>/dev/null; do sleep 0.05; done`
  await tools.replaceDump(
    `exec bash -o pipefail -c '"$0" "$@" | (head -c 300000; touch ${halfWay}; ${wait}; cat)' "$real" "$@"`,
  )
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  if (restarted !== undefined) await stop('SIGQUIT')
  await server.stop()
  await tools[Symbol.asyncDispose]()
  await directory.remove()
})

async function query(sql: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
  const url = new URL(server.connectionString)
  url.pathname = `/${database}`
  const client = new pg.Client(url.href)
  // The end of the server is what some of the tests are about.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

/** Ends the server: SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one, which is as a crash. */
async function stop(signal: NodeJS.Signals): Promise<void> {
  if (restarted === undefined) process.kill(server.pid, signal)
  else restarted.kill(signal)
  await until('the end of the server', () => !existsSync(join(server.dataDirectory, 'postmaster.pid')))
}

/** Starts it again at the same address with the same data. */
async function start(): Promise<void> {
  const { uid, gid } = await stat(server.dataDirectory)
  const settings = {
    port: new URL(server.connectionString).port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: dirname(server.dataDirectory),
    fsync: 'off',
  }
  const [program, ...args] = tiedToUs(
    [
      join(server.binDirectory, 'postgres'),
      '-D',
      server.dataDirectory,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    process.getuid?.() === 0 ? { uid, gid } : undefined,
  )
  restarted = spawn(program, args, { cwd: dirname(server.dataDirectory), stdio: 'ignore' })
  await until('an answer of the server', () =>
    query('SELECT 1').then(
      () => true,
      () => false,
    ),
  )
}

async function backendOf(applicationName: string): Promise<number> {
  const [backend] = await query(
    `SELECT pid FROM pg_stat_activity WHERE application_name = '${applicationName}' AND pid <> pg_backend_pid()`,
  )
  return Number(backend?.['pid'])
}

/** Asks for a run, does `harm` in the middle of its first dump, and lets the dump go on. */
async function runWith(harm: () => Promise<unknown>): Promise<string> {
  const run = await installation.request()
  await until('the middle of the dump', () => existsSync(halfWay))
  await harm()
  await writeFile(goOn, '')
  await installation.ended(run, 2 * minute)
  return run
}

/** The rows that come back from a run's backup, in a database that goes again. */
async function restoredRows(run: string): Promise<unknown> {
  await using command = startCommand(['restore', run, '--to', 'restored', '--yes'], { ...installation.env })
  expect([await command.ended, command.lines.join('\n')]).toEqual([0, expect.stringMatching(/Restored/)])
  const [counted] = await query('SELECT count(*)::int AS count FROM orders', 'restored')
  await query('DROP DATABASE restored')
  return counted?.['count']
}

async function expectNothingLeft(): Promise<void> {
  expect(await installation.spoolRuns()).toEqual([])
  let left: unknown
  await until('nothing is left', async () => {
    left = await query(
      `SELECT application_name AS found FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
       UNION ALL SELECT 'advisory lock' FROM pg_locks WHERE locktype = 'advisory'
       UNION ALL SELECT 'snapshot ' || pg_ls_dir('pg_snapshots')`,
    )
    return JSON.stringify(left) === '[]'
  }).catch(() => {
    expect(left).toEqual([])
  })
}

const harms: [string, () => Promise<unknown>][] = [
  [
    'the backend of pg_dump is terminated',
    async () => query(`SELECT pg_terminate_backend(${String(await backendOf('securyflex-backup dump'))})`),
  ],
  [
    'the session that holds the snapshot is terminated',
    async () => query(`SELECT pg_terminate_backend(${String(await backendOf('securyflex-backup'))})`),
  ],
  [
    'the backend of pg_dump is killed with SIGKILL, and the server recovers',
    async () => {
      process.kill(await backendOf('securyflex-backup dump'), 'SIGKILL')
    },
  ],
  ['the server is restarted fast', () => stop('SIGINT').then(start)],
  ['the server is restarted at once, as after a crash', () => stop('SIGQUIT').then(start)],
]

describe('a run in whose dump', () => {
  it.each(harms)(
    '%s makes another dump, and its backup restores',
    async (_, harm) => {
      await using worker = await installation.startWorker()
      const run = await runWith(harm)
      expect(await installation.report(run)).toMatchObject({ outcome: 'success' })
      await expectNothingLeft()
      expect(await restoredRows(run)).toBe(rows)
      await worker.kill('SIGTERM')
    },
    4 * minute,
  )

  it(
    'the server goes for good ends as failed, says why, and the next one works',
    async () => {
      await using worker = await installation.startWorker()
      const before = await listRuns(installation.storage, installation.source)
      const run = await runWith(() => stop('SIGINT'))
      expect(await installation.report(run)).toMatchObject({
        outcome: 'failed',
        code: 'DATABASE_UNREACHABLE',
        reason: expect.stringContaining('refused'),
      })
      expect(await listRuns(installation.storage, installation.source)).toEqual(before)
      await start()
      await expectNothingLeft()
      const next = await installation.request()
      const job = await installation.ended(next)
      expect(job.returnvalue).toMatchObject({ outcome: 'success' })
      expect(await restoredRows(next)).toBe(rows)
      await worker.kill('SIGTERM')
    },
    4 * minute,
  )
})
