import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, symlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, jest } from '@jest/globals'
import { findBackup } from '@securyflex/shared/backup'
import { Secret } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import { type Installation, startInstallation, testKey } from '../helpers/installation.ts'
import { isThere, type Major, type MajorServer, programsOf, startMajor, testWith } from '../helpers/majors.ts'
import { administrationUrl } from '../helpers/postgres.ts'
import { backUp, command, restoreLatest } from '../helpers/round-trip.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'
import { witnessOf } from '../helpers/witness.ts'

const minutes = 60_000
jest.setTimeout(3 * minutes)

const content = `
  CREATE TABLE customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
  INSERT INTO customer (name) SELECT md5(n::text) FROM generate_series(1, 4000) AS n;
  CREATE TABLE bill (id bigint, customer int REFERENCES customer, at date, total numeric) PARTITION BY RANGE (at);
  CREATE TABLE bill_2025 PARTITION OF bill FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE bill_2026 PARTITION OF bill DEFAULT; CREATE INDEX ON bill (customer);
  INSERT INTO bill SELECT n, n % 4000 + 1, date '2025-01-01' + n % 700, n / 7.0 FROM generate_series(1, 4000) AS n;
  SELECT lo_from_bytea(70000 + n, convert_to('object ' || n, 'UTF8')) FROM generate_series(1, 1500) AS n;
  CREATE VIEW due AS SELECT customer, sum(total) FROM bill GROUP BY customer`

const queries = [
  `SELECT * FROM customer ORDER BY id`,
  `SELECT tableoid::regclass::text, * FROM bill ORDER BY id`,
  `SELECT oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid`,
  `SELECT last_value, is_called FROM customer_id_seq`,
]

/** Roles as each major can have them: how a membership is given since 16, what may be maintained since 17. */
const rolesOf = (major: Major) => [
  `CREATE ROLE clerks; CREATE ROLE clerk LOGIN PASSWORD 'hush'; ALTER ROLE clerk SET work_mem TO '5MB'; GRANT SET ON PARAMETER log_statement TO clerks`,
  major >= 17
    ? `GRANT clerks TO clerk WITH INHERIT FALSE, SET TRUE, ADMIN TRUE; GRANT pg_maintain TO clerk; ALTER ROLE clerk SET transaction_timeout TO '5s'`
    : `GRANT clerks TO clerk WITH ADMIN OPTION`,
]

/** A source on a server of one major, and a backup of it that was made without naming any tools. */
interface Trial extends AsyncDisposable {
  readonly server: MajorServer
  readonly installation: Installation
  readonly directory: TemporaryDirectory
  readonly run: string
}

async function trialOn(major: Major): Promise<Trial> {
  await using made = new AsyncDisposableStack()
  const server = made.use(await startMajor(major))
  const directory = made.use(await temporaryDirectory())
  // Beside the tools that are installed in the usual places, those of 18 are in a person's own profile.
  await mkdir(directory.join('.nix-profile'))
  await symlink(programsOf(18), directory.join('.nix-profile/bin'))
  const settings = { BACKUP_FINGERPRINT: 'checksums', HOME: directory.path }
  const installation = made.use(await startInstallation(settings, server.access))
  for (const statement of [content, ...rolesOf(major)]) await installation.database.query(statement)
  const run = await backUp(installation)
  const all = made.move()
  return { server, installation, directory, run, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/** The version of the pg_dump that a manifest names. */
async function toolOf({ installation, run }: Trial): Promise<string> {
  const keys = new KeyRing({ current: new Secret(testKey), previous: [] })
  const { opened } = await findBackup({ what: run, source: 'shop', storages: [installation.storage], keys })
  return opened.manifest.tool
}

/** Runs a line with the programs of the server's own major, as its superuser. */
async function shell({ server, directory }: Pick<Trial, 'server' | 'directory'>, line: string) {
  const { host, port, user, password } = server.access
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', line], {
    cwd: directory.path,
    env: {
      PATH: `${server.programs}:${process.env['PATH'] ?? ''}`,
      ...{ PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: 'postgres' },
    },
    maxBuffer: 2 ** 26,
  })
  return stdout
}

/** Whether psql and pg_dump of the server's own major see the source in `copy`. */
async function expectSame({ server, installation: { database } }: Trial, copy: string): Promise<void> {
  const [left, right] = [
    await witnessOf(server.access, database.name, 'UTF8', server.programs),
    await witnessOf(server.access, copy, 'UTF8', server.programs),
  ]
  for (const query of queries) {
    expect({ query, ...(await right.rows(query)) }).toEqual({ query, ...(await left.rows(query)) })
  }
  expect(await right.definitions()).toBe(await left.definitions())
}

/** Which tools serve a server where those of 15 are installed, and those of 18 in a profile. */
function expectedTool(major: Major): RegExp {
  const chosen = major === 17 && !existsSync('/usr/lib/postgresql/17/bin/pg_dump') ? 18 : major
  return new RegExp(`^pg_dump ${String(chosen)}\\.`)
}

describe.each([15, 17, 18] as const)('a backup of PostgreSQL %i', (major) => {
  const test = testWith(major, 18)
  let trial: Trial

  if (isThere(major) && isThere(18)) {
    beforeAll(async () => {
      trial = await trialOn(major)
    }, 3 * minutes)
    afterAll(async () => {
      await trial[Symbol.asyncDispose]()
    }, minutes)
  }

  test('is made by the tools of that major, or by the next newer ones that are there', async () => {
    expect(await toolOf(trial)).toMatch(expectedTool(major))
  })

  test('comes back over two connections', async () => {
    const copy = `${trial.installation.database.name}_jobs`
    const { comparison } = await restoreLatest(trial.installation, copy, '--jobs', '2')
    expect(comparison).toMatchObject({ differences: [], notes: [] })
    expect(comparison?.compared).toMatchObject({ checksums: 3, rows: 8000, largeObjects: 1500 })
    await expectSame(trial, copy)
  })

  for (const [format, line] of [
    ['custom', 'pg_restore --exit-on-error -j 2 -d exported_custom custom'],
    ['sql', 'psql -X -q -v ON_ERROR_STOP=1 -1 -d exported_sql -f sql >out'],
    ['sql.gz', 'gunzip -c < sql.gz | psql -X -q -v ON_ERROR_STOP=1 -1 -d exported_sql.gz >out'],
  ] as const) {
    test(`is exported as ${format} for the programs of the tools that made it`, async () => {
      const { installation, directory, server } = trial
      await command(installation, 'export', 'latest', '--format', format, '--output', directory.join(format))
      await shell(trial, `createdb -T template0 exported_${format}`)
      // What 18's pg_dump wrote of a server of 17, an older pg_restore does not read.
      const programs = (await toolOf(trial)).startsWith(`pg_dump ${String(major)}.`)
        ? server.programs
        : programsOf(18)
      await shell({ directory, server: { ...server, programs } }, line)
      await expectSame(trial, `exported_${format}`)
    })
  }

  for (const [name, line] of [
    ['plain.sql', 'pg_dump -f'],
    ['plain.sql.gz', 'pg_dump -Z 6 -f'],
    ['custom.dump', 'pg_dump -Fc -f'],
    ['archive.tar', 'pg_dump -Ft -f'],
    ['directory', 'pg_dump -Fd -j 2 -f'],
  ] as const) {
    test(`${name} of its own pg_dump is restored`, async () => {
      const { installation, directory, server } = trial
      await shell(trial, `${line} ${name} ${installation.database.name}`)
      const copy = `file_${name.replaceAll('.', '_')}`
      const env = { ...installation.env, BACKUP_PG_BIN_DIR: server.programs }
      await command({ env }, 'restore', directory.join(name), '--to', copy, '--yes')
      await expectSame(trial, copy)
    })
  }

  test('holds the roles as another server of that major takes them', async () => {
    const { installation, directory, server } = trial
    await using another = await startMajor(major)
    const { stdout } = await command(installation, 'restore', 'latest', '--globals')
    await promisify(execFile)('sh', [
      '-c',
      'printf %s "$1" > "$2"',
      'sh',
      stdout,
      directory.join('globals.sql'),
    ])
    // The superuser is there already, and gets the password of the other server.
    await shell({ server: another, directory }, 'psql -X -q -f globals.sql 2>said')
    const access = { ...another.access, password: server.access.password }
    const roles = async (one: MajorServer) =>
      (await shell({ server: one, directory }, 'pg_dumpall --globals-only')).replace(
        /^\\(un)?restrict .*$/gm,
        '',
      )
    expect(await roles({ ...another, access })).toBe(await roles(server))
  })
})

describe('tools that are older than the server', () => {
  testWith(15, 18)(
    'are refused before anything is dumped, with the line that installs newer ones',
    async () => {
      await using server = await startMajor(18)
      await using installation = await startInstallation({ BACKUP_PG_BIN_DIR: programsOf(15) }, server.access)
      await using worker = await installation.startWorker()
      const run = await installation.request()
      const job = await installation.ended(run)
      expect(await job.getState()).toBe('failed')
      expect(job.failedReason).toMatch(
        /^PostgreSQL 18 needs client tools of version 18 or newer, and the newest in .* is 15\..*postgresql-client-18/,
      )
      expect(await installation.report(run)).toMatchObject({ outcome: 'failed', code: 'TOOL_TOO_OLD' })
      expect((await installation.report(run))?.bytes).toBeUndefined()
      await worker.kill('SIGTERM')
    },
  )

  testWith(15, 18)(
    'are refused for an archive, too, and newer ones carry it to an older server',
    async () => {
      await using server = await startMajor(18)
      await using older = await startMajor(15)
      const settings = { BACKUP_PG_BIN_DIR: server.programs, BACKUP_FINGERPRINT: 'checksums' }
      await using installation = await startInstallation(settings, server.access)
      await installation.database.query(content)
      await backUp(installation)
      const there = ['--target-url', await administrationUrl(older.access)]
      const env = { ...installation.env, BACKUP_PG_BIN_DIR: older.programs }
      await expect(restoreLatest({ env }, 'older', ...there)).rejects.toMatchObject({
        code: 4,
        stderr: expect.stringContaining('postgresql-client-18'),
      })
      const { comparison } = await restoreLatest(installation, 'older', ...there)
      expect(comparison).toMatchObject({ differences: [], compared: { checksums: 3, rows: 8000 } })
    },
  )
})

describe('a database of PostgreSQL 18', () => {
  for (const [how, options] of [
    ['sorts with the server’s own rules', `LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST'`],
    [
      'sorts with rules of its own',
      `LOCALE_PROVIDER icu ICU_LOCALE 'und' ICU_RULES '& a < ö' LC_COLLATE 'C' LC_CTYPE 'C'`,
    ],
  ] as const) {
    testWith(18)(`that ${how} comes back with them`, async () => {
      await using server = await startMajor(18)
      const settings = { BACKUP_PG_BIN_DIR: server.programs, BACKUP_FINGERPRINT: 'checksums' }
      const url = (await administrationUrl(server.access)).replace(/postgres$/, 'sorted')
      await using directory = await temporaryDirectory()
      await using installation = await startInstallation({ ...settings, DATABASE_URL: url }, server.access)
      await installation.database.query(`CREATE DATABASE sorted TEMPLATE template0 ${options}`)
      await shell(
        { server, directory },
        `psql -X -q -d sorted -c "CREATE TABLE words (w text PRIMARY KEY); INSERT INTO words VALUES ('b'), ('ö'), ('a'), ('ÄB'), ('z')"`,
      )
      await backUp(installation)
      const { comparison } = await restoreLatest(installation, 'sorted_copy')
      expect(comparison).toMatchObject({ differences: [], notes: [] })
      const [left, right] = [
        await witnessOf(server.access, 'sorted', 'UTF8', server.programs),
        await witnessOf(server.access, 'sorted_copy', 'UTF8', server.programs),
      ]
      for (const query of [
        `SELECT w, upper(w) FROM words ORDER BY w`,
        `SELECT datlocprovider, datlocale, daticurules, datcollate FROM pg_database WHERE datname = current_database()`,
      ]) {
        expect({ query, ...(await right.rows(query)) }).toEqual({ query, ...(await left.rows(query)) })
      }
      const definitions = (await left.definitions({ create: true })).replaceAll('sorted', 'DATABASE')
      expect(await right.definitions({ create: true })).toBe(
        definitions.replaceAll('sorted_copy', 'DATABASE'),
      )
    })
  }
})
