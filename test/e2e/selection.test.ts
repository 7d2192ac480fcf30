import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { findReports } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { findTools } from '@securyflex/shared/postgres'
import { requestRun } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { command, type Restoration } from '../helpers/round-trip.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

const run = promisify(execFile)
let installation: Installation
let directory: TemporaryDirectory
let copies = 0

beforeAll(async () => {
  directory = await temporaryDirectory()
  const file = directory.join('selection.yaml')
  installation = await startInstallation(async (database) => {
    await database.query(`
      CREATE TABLE orders (id serial PRIMARY KEY, note text); INSERT INTO orders (note) SELECT 'n' FROM generate_series(1, 50);
      CREATE TABLE log AS SELECT n AS id FROM generate_series(1, 1000) AS n; CREATE SCHEMA audit;
      CREATE TABLE audit."Odd name" AS SELECT 1 AS id; CREATE TABLE audit.log AS SELECT 2 AS id`)
    const source = JSON.stringify(database.url)
    await writeFile(
      file,
      `sources:
  schema: { url: ${source}, schedule: false, fingerprint: checksums, include: { schemas: public }, exclude: { tableData: log } }
  table: { url: ${source}, schedule: false, include: { tables: ['audit."Odd name"', orders] }, exclude: { tables: [gone.*] } }
  without: { url: ${source}, schedule: false, exclude: { schemas: [audit], tables: [log] } }
  wrong: { url: ${source}, schedule: false, include: { tables: [ordres] } }
`,
    )
    return { BACKUP_CONFIG: file }
  })
})
afterAll(async () => {
  const { database } = installation
  for (let copy = 1; copy <= copies; copy += 1)
    await database.query(`DROP DATABASE IF EXISTS "${database.name}_${String(copy)}"`)
  await installation[Symbol.asyncDispose]()
  await directory.remove()
})

/** Everything that pg_dump writes with these options, without what it makes up anew each time. */
async function dump(database: string, options: readonly string[]): Promise<string> {
  const { host, port, user, password } = installation.database
  const env = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database }
  const { pg_dump } = await findTools(15)
  const { stdout } = await run(pg_dump, [...options], { env })
  return stdout.replaceAll(/^\\(?:un)?restrict .*$/gm, '')
}

async function backUp(source: string) {
  const now = new Date()
  const request = { v: 1 as const, source, requestedBy: 'test', requestedAt: now.toISOString(), options: {} }
  return installation.ended((await requestRun(installation.queues, newRunId(source, now), request)).run)
}

describe('a part of a database', () => {
  it.each<[string, readonly string[], number]>([
    ['schema', ['--schema=public', '--exclude-table-data=log'], 2],
    ['table', ['--table=audit."Odd name"', '--table=orders'], 2],
    ['without', ['--exclude-schema=audit', '--exclude-table=log'], 1],
  ])(
    '(%s) comes back as pg_dump with the same options sees it, and is called partial',
    async (source, options, tables) => {
      await using worker = await installation.startWorker()
      expect((await backUp(source)).returnvalue).toMatchObject({ outcome: 'success' })
      await worker.kill('SIGTERM')
      const copy = `${installation.database.name}_${String(++copies)}`
      const { stdout, stderr } = await command(
        installation,
        ...['restore', 'latest', '--source', source, '--to', copy, '--yes', '--json'],
      )
      expect(stderr).toMatch(new RegExp(`The backup ${source}\\.\\S+ is partial: it holds (?:only|not) the`))
      const { comparison } = JSON.parse(stdout) as Restoration
      expect(comparison).toMatchObject({ differences: [], compared: { tables } })
      expect(await dump(copy, options)).toBe(await dump(installation.database.name, options))
      const list = await command(installation, 'list', source)
      expect(list.stdout).toContain('readable, partial')
    },
  )

  it('that was to leave out what does not exist says so', async () => {
    const reports = findReports(installation.storage, 'table', new KeyRing(installation.config.keys), 1)
    for await (const { report } of reports) {
      expect(report?.warnings).toEqual([
        expect.stringContaining('“gone.*” of exclude.tables matches no table'),
      ])
    }
  })

  it('that does not exist is no backup', async () => {
    await using worker = await installation.startWorker()
    const job = await backUp('wrong')
    expect(job.failedReason).toMatch(/“ordres” of include.tables matches no table.*\[CONFIG_INVALID\]/)
    await worker.kill('SIGTERM')
  })
})
