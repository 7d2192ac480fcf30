import { afterAll, beforeAll, describe, expect } from '@jest/globals'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { parseConnection } from '@securyflex/shared/config'
import { libpqEnvironment } from '@securyflex/shared/postgres'
import pg from 'pg'
import {
  isThere,
  type MajorServer,
  programsOf,
  startMajor,
  testWith,
} from '../../../../test/helpers/majors.ts'
import { createDatabase, type TestDatabase } from '../../../../test/helpers/postgres.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { openDumpFile, restoreFile } from './index.ts'

/** Of a server that the dumps come from; the shared one that they go to is a 15. */
const newer = 18
let server: MajorServer | undefined
let target: TestDatabase
let directory: TemporaryDirectory

beforeAll(async () => {
  if (!isThere(newer)) return
  ;[server, target, directory] = await Promise.all([
    startMajor(newer),
    createDatabase(),
    temporaryDirectory(),
  ])
  const { access, programs } = server
  const url = `postgresql://${access.user}:${access.password}@${access.host}:${String(access.port)}/postgres`
  const client = new pg.Client(url)
  await client.connect()
  await client.query(
    `CREATE TABLE item AS SELECT n AS id, md5(n::text) AS name FROM generate_series(1, 3000) n; ALTER TABLE item ADD PRIMARY KEY (id)`,
  )
  await client.end()
  await promisify(execFile)(
    'bash',
    [
      '-euo',
      'pipefail',
      '-c',
      'pg_dump -Fc > custom; pg_dump -Fc | gzip > custom.gz; pg_dump -Ft > tar; pg_dump -Fd -f directory; pg_dump | gzip > script.sql.gz',
    ],
    {
      cwd: directory.path,
      env: {
        ...libpqEnvironment(parseConnection(url, {}).connection),
        PATH: `${programs}:${String(process.env['PATH'])}`,
      },
    },
  )
})

afterAll(async () => {
  if (server === undefined) return
  await Promise.all([server[Symbol.asyncDispose](), target.drop(), directory.remove()])
})

async function restoreWith(programs: string, file: string, jobs = 1) {
  return restoreFile({
    file: await openDumpFile(directory.join(file), { passphrases: [], derivation: undefined }),
    target: parseConnection(target.url, {}).connection,
    name: `${target.name}_restored`,
    owners: true,
    jobs,
    allowCommands: false,
    pgBinDirectory: programs,
    signal: new AbortController().signal,
  })
}

async function expectNothing(): Promise<void> {
  const { rowCount } = await target.query('SELECT FROM pg_database WHERE datname LIKE $1', [
    `${target.name}_%`,
  ])
  expect(rowCount).toBe(0)
}

const each = (work: (file: string) => Promise<void>) => async () => {
  for (const file of ['custom', 'custom.gz', 'tar', 'directory']) await work(file)
}

describe('a dump of PostgreSQL 18 for a server 15', () => {
  testWith(15, newer)(
    'is restored with the tools of 18, but for one statement, which is named',
    each(async (file) => {
      const restored = await restoreWith(programsOf(newer), file)
      expect(restored).toMatchObject({
        tool: expect.stringMatching(/^pg_restore 18/),
        leftOut: ['SET transaction_timeout = 0;'],
        holds: { database: { name: restored.database }, tables: [{ name: 'item', rows: 3000 }] },
      })
      await target.query(`DROP DATABASE ${restored.database}`)
    }),
  )

  testWith(15, newer)(
    'is refused when there are tools of 15 only, with the line that installs newer ones',
    each(async (file) => {
      await expect(restoreWith(programsOf(15), file)).rejects.toMatchObject({
        code: 'TOOL_TOO_OLD',
        message: `${directory.join(file)} was made by pg_dump 17 or newer, and no client tools as new are here.`,
        hint: expect.stringMatching(/postgresql-client-17/),
      })
      await expectNothing()
    }),
  )

  testWith(15, newer)('as SQL is run by the psql of 15, but for that statement', async () => {
    const restored = await restoreWith(programsOf(15), 'script.sql.gz')
    expect(restored).toMatchObject({ oneTransaction: true, leftOut: ['SET transaction_timeout = 0;'] })
    await target.query(`DROP DATABASE ${restored.database}`)
  })

  testWith(15, newer)('is not restored over several connections, and that is said', async () => {
    await expect(restoreWith(programsOf(newer), 'custom', 2)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/cannot restore into a server before 17 with several jobs/),
    })
    await expectNothing()
  })
})
