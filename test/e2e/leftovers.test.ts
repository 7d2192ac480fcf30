import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import {
  findTools,
  libpqEnvironment,
  startThrowawayServer,
  type ThrowawayServer,
} from '@securyflex/shared/postgres'
import { cancelRun } from '@securyflex/shared/queue'
import pg from 'pg'
import { startCommand, until } from '../helpers/command.ts'
import { onlyInFull } from '../helpers/in-full.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { type StandInTools, standInTools } from '../helpers/stand-in-tools.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

const minute = 60_000
const notWhatItWas = 'something is left'

let server: ThrowawayServer
let tools: StandInTools
let installation: Installation
let temporary: TemporaryDirectory
/** For files that are no leftovers. */
let outside: TemporaryDirectory
/** The session that looks. */
let observer: pg.Client

beforeAll(async () => {
  // A server of its own: whatever is seen there was left by what the test does.
  server = await startThrowawayServer({ listen: 'loopback' })
  tools = await standInTools()
  ;[temporary, outside] = await Promise.all([temporaryDirectory(), temporaryDirectory()])
  observer = new pg.Client(server.connectionString)
  await observer.connect()
  await observer.query(
    `CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 8) AS note FROM generate_series(1, 40000) AS n`,
  )
  // A restore takes two seconds at its end, in which it can be met.
  await observer.query(`
    CREATE FUNCTION slowly(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(2); RETURN $1; END $$;
    CREATE TABLE slow AS SELECT 1 AS id; CREATE INDEX ON slow (slowly(id))`)
  installation = await startInstallation({
    DATABASE_URL: server.connectionString,
    BACKUP_PG_BIN_DIR: tools.path,
    BACKUP_FINGERPRINT: 'off',
    TMPDIR: temporary.path,
  })
}, minute)

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  await observer.end()
  await tools[Symbol.asyncDispose]()
  await Promise.all([temporary.remove(), outside.remove()])
  await server.stop()
})

/** Everything that must not outlive a run or a restore, as lists that are empty when all is well. */
async function leftovers(): Promise<Record<string, unknown[]>> {
  const list = async (sql: string) =>
    (await observer.query<{ found: unknown }>(sql)).rows.map(({ found }) => found)
  return {
    sessions: await list(
      `SELECT application_name || ' ' || coalesce(state, '') AS found FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    ),
    horizons: await list(
      `SELECT pid AS found FROM pg_stat_activity
        WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()`,
    ),
    locks: await list(
      `SELECT locktype || ' ' || mode AS found FROM pg_locks WHERE pid <> pg_backend_pid() OR locktype = 'advisory'`,
    ),
    snapshots: await list(`SELECT pg_ls_dir('pg_snapshots') AS found`),
    prepared: await list(`SELECT gid AS found FROM pg_prepared_xacts`),
    slots: await list(`SELECT slot_name AS found FROM pg_replication_slots`),
    databases: await list(
      `SELECT datname AS found FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1`,
    ),
    tools: toolProcesses(),
    spool: await installation.spoolRuns(),
    files: await readdir(temporary.path),
    archives: await listArchives(),
  }
}

/** Archives that were written out for several jobs. */
async function listArchives(): Promise<string[]> {
  const directory = join(installation.config.spool.directory, 'restores')
  return existsSync(directory) ? readdir(directory) : []
}

/** Client tools that were told of this server. */
function toolProcesses(): string[] {
  const port = `PGPORT=${String(server.connection.hosts[0]?.port)}`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const ours = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(port)
        return ours ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')] : []
      } catch (error) {
        if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
        throw error
      }
    })
}

/** What ends does so in its own time; what is left is there for good. */
async function expectNothingLeft(besides: Record<string, unknown[]> = {}): Promise<void> {
  const nothing = Object.fromEntries(
    Object.keys(await leftovers()).map((what) => [what, besides[what] ?? []]),
  )
  let found: unknown
  await until(
    notWhatItWas,
    async () => {
      found = await leftovers()
      return JSON.stringify(found) === JSON.stringify(nothing)
    },
    12_000,
  ).catch(() => {
    expect(found).toEqual(nothing)
  })
}

/** Makes pg_dump wait in the middle of its work, under its snapshot, until `work` is over. */
async function whileDumpsWait(work: () => Promise<void>): Promise<void> {
  const locker = new pg.Client(server.connectionString)
  await locker.connect()
  await locker.query('BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE')
  try {
    await work()
  } finally {
    await locker.end()
  }
}

async function untilDumpWaits(): Promise<void> {
  await until('a pg_dump that waits', async () => {
    const { rowCount } = await observer.query(
      `SELECT FROM pg_stat_activity WHERE application_name = 'securyflex-backup dump' AND wait_event_type = 'Lock'`,
    )
    return rowCount === 1 && toolProcesses().length > 0
  })
}

describe('after a run', () => {
  it(
    'that succeeds nothing is left',
    async () => {
      await using worker = await installation.startWorker()
      const job = await installation.ended(await installation.request())
      expect(job.returnvalue).toMatchObject({ outcome: 'success' })
      await expectNothingLeft()
      await worker.kill('SIGTERM')
    },
    minute,
  )

  it(
    'that fails in the middle of its dump nothing is left',
    async () => {
      await tools.replaceDump('"$real" "$@" | head -c 300000; exit 1')
      await using worker = await installation.startWorker()
      const job = await installation.ended(await installation.request())
      expect(await job.getState()).toBe('failed')
      await expectNothingLeft()
      await worker.kill('SIGTERM')
      await tools.repairDump()
    },
    minute,
  )

  it(
    'that is cancelled in the middle of its dump nothing is left',
    async () => {
      await using worker = await installation.startWorker()
      await whileDumpsWait(async () => {
        const run = await installation.request()
        await untilDumpWaits()
        await cancelRun(installation.queues.redis, run)
        const job = await installation.ended(run)
        expect(await job.getState()).toBe('failed')
      })
      await expectNothingLeft()
      await worker.kill('SIGTERM')
    },
    minute,
  )

  it(
    'whose worker is killed in the middle of its dump only its batches are left, until another worker ends it',
    async () => {
      await using worker = await installation.startWorker()
      let run = ''
      await whileDumpsWait(async () => {
        run = await installation.request()
        await untilDumpWaits()
        await worker.kill('SIGKILL')
        // The kernel kills them with their worker; they may be seen a moment longer.
        await until('pg_dump is gone', () => toolProcesses().length === 0)
      })
      await expectNothingLeft({ spool: [run] })
      await using second = await installation.startWorker()
      const job = await installation.ended(run)
      expect(job.returnvalue).toMatchObject({ outcome: 'success' })
      await expectNothingLeft()
      await second.kill('SIGTERM')
    },
    minute,
  )
})

describe('after a restore', () => {
  const streamed = ['latest']
  /** How a restore can go on, and the program that is at work then. */
  const ways = [
    { title: 'that is streamed', what: () => streamed, program: 'pg_restore' },
    ...onlyInFull(
      { title: 'over two connections', what: () => ['latest', '--jobs', '2'], program: 'pg_restore' },
      { title: 'of a dump', what: () => [dump], program: 'psql' },
    ),
  ]
  let dump = ''

  beforeAll(async () => {
    dump = outside.join('backup.sql.gz')
    const real = join((await findTools(15)).directory, 'pg_dump')
    await promisify(execFile)('sh', ['-c', `${real} | gzip > ${dump}`], {
      env: libpqEnvironment(server.connection),
    })
    await using worker = await installation.startWorker()
    const job = await installation.ended(await installation.request())
    expect(job.returnvalue).toMatchObject({ outcome: 'success' })
    await worker.kill('SIGTERM')
  }, minute)

  const restore = (what: readonly string[]) =>
    startCommand(['restore', ...what, '--to', 'restored', '--yes'], { ...installation.env })

  /** Waits until the restore is in its slow part, and gives the name that its database has there. */
  async function untilRestores(program: string): Promise<string> {
    let name = ''
    await until(`${program} at its slow index`, async () => {
      const { rows } = await observer.query<{ name: string }>(
        `SELECT datname AS name FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname <> current_database()`,
      )
      name = rows[0]?.name ?? ''
      return rows.length === 1 && toolProcesses().some((command) => command.includes(program))
    })
    expect(name).toMatch(/^securyflex_restore_[0-9a-f]{8}$/)
    return name
  }

  it(
    'that succeeds only the database is left',
    async () => {
      await using command = restore(streamed)
      expect([await command.ended, command.lines.join('\n')]).toEqual([0, expect.stringMatching(/Restored/)])
      await expectNothingLeft({ databases: ['restored'] })
      await observer.query('DROP DATABASE restored')
    },
    minute,
  )

  it(
    'that is interrupted nothing is left',
    async () => {
      await using command = restore(streamed)
      await untilRestores('pg_restore')
      command.kill('SIGINT')
      expect(await command.ended).toBe(130)
      await expectNothingLeft()
    },
    minute,
  )

  it.each(ways)(
    '$title whose session the server ends nothing is left, and it says so in two lines',
    async ({ what, program }) => {
      await using command = restore(what())
      const database = await untilRestores(program)
      await observer.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep'`,
        [database],
      )
      expect(await command.ended).toBe(4)
      expect(command.lines.filter((line) => !/^(For 2 jobs|Restoring |Writing out )/.test(line))).toEqual([
        expect.stringMatching(`^${program} lost its connection to the server: `),
        expect.stringMatching(/log for a restart or a failover/),
      ])
      await expectNothingLeft()
    },
    minute,
  )

  it.each(ways)(
    '$title that is killed what it left does not have the name; the next restore names it and removes its file',
    async ({ what, program }) => {
      const first = restore(what())
      const database = await untilRestores(program)
      first.kill('SIGKILL')
      await first.ended
      const archives = await listArchives()
      expect(archives).toHaveLength(what().includes('--jobs') ? 1 : 0)
      await expectNothingLeft({ databases: [database], archives })

      await using second = restore(streamed)
      const [, drop = ''] = await second.line(/^A restore that was killed left the database .*\? (DROP .*)$/)
      expect(await second.ended).toBe(0)
      await expectNothingLeft({ databases: ['restored', database] })
      expect(drop).toContain(database)
      await observer.query(drop)
      await observer.query('DROP DATABASE restored')
    },
    2 * minute,
  )
})
