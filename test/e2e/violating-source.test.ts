import { execFile } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parseConnection } from '@securyflex/shared/config'
import { generateKey } from '@securyflex/shared/keys'
import { findTools, libpqEnvironment } from '@securyflex/shared/postgres'
import pg from 'pg'
import { makeBackup } from '../helpers/make-backup.ts'
import { createDatabase, type TestDatabase } from '../helpers/postgres.ts'
import { runCommand } from '../helpers/run-command.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

const key = generateKey()
let source: TestDatabase
let directory: TemporaryDirectory

beforeAll(async () => {
  ;[source, directory] = await Promise.all([createDatabase(), temporaryDirectory()])
  await source.query('CREATE TABLE customer (id int PRIMARY KEY)')
  await source.query('CREATE TABLE visit (customer int)')
  await source.query('INSERT INTO visit VALUES (7)')
  await source.query(
    'ALTER TABLE visit ADD CONSTRAINT of FOREIGN KEY (customer) REFERENCES customer NOT VALID',
  )
})

afterAll(async () => {
  await Promise.all([source.drop(), directory.remove()])
})

const run = (...args: string[]) =>
  runCommand(args, {
    directory: directory.path,
    timeout: 60_000,
    env: {
      DATABASE_URL: source.url,
      BACKUP_SOURCE: 'shop',
      BACKUP_DIR: directory.path,
      BACKUP_ENCRYPTION: 'true',
      BACKUP_ENCRYPTION_KEY: key,
    },
  })

async function query(database: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(source.url.replace(source.name, database))
  await client.connect()
  return (await client.query<Record<string, unknown>>(sql).finally(() => client.end())).rows
}

const validated =
  'SELECT conname AS name, convalidated AS valid FROM pg_constraint WHERE contype = $$f$$ ORDER BY 1'

describe('a source that violates its own foreign keys', () => {
  it('comes back where they are NOT VALID, as they were', async () => {
    const restored = `${source.name}_a`
    await makeBackup({ url: source.url, repository: directory.join('repository'), key })
    const { status, stderr } = await run('restore', 'latest', '--to', restored, '--yes')
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(await query(restored, validated)).toEqual([{ name: 'of', valid: false }])
    expect(await query(restored, 'SELECT * FROM visit')).toEqual([{ customer: 7 }])
    await source.query(`DROP DATABASE ${restored}`)
  })

  it('with rows behind the back of a valid one is refused by name, and the line that is told gives all but that key', async () => {
    await source.query('CREATE TABLE "Order" (id int PRIMARY KEY, customer int REFERENCES customer)')
    await source.query('ALTER TABLE "Order" DISABLE TRIGGER ALL')
    await source.query('INSERT INTO "Order" VALUES (1, 99), (2, 100)')
    await source.query('ALTER TABLE "Order" ENABLE TRIGGER ALL')
    await makeBackup({ url: source.url, repository: directory.join('repository'), key })

    const restored = `${source.name}_b`
    const { status, stderr } = await run('restore', 'latest', '--to', restored, '--yes')
    const [message, hint = ''] = stderr.trim().split('\n').slice(-2)
    expect(status).toBe(4)
    expect(message).toMatch(
      /pg_restore found rows in "Order" that violate a foreign key, as they did in the source: .*Key \(customer\)=\(99\) is not present/,
    )
    expect(await query('postgres', `SELECT FROM pg_database WHERE datname = '${restored}'`)).toEqual([])

    const [, options = ''] =
      /securyflex-backup (export \S+ --output \S+) && createdb rescued && pg_restore --dbname=rescued rescue.dump$/.exec(
        hint,
      ) ?? []
    expect(await run(...options.split(' '))).toMatchObject({ status: 0 })
    await source.query(`CREATE DATABASE ${restored}`)
    const { pg_restore } = await findTools(15)
    const env = libpqEnvironment(parseConnection(source.url, {}).connection)
    const said = await new Promise((done) => {
      execFile(
        pg_restore,
        [`--dbname=${restored}`, directory.join('rescue.dump')],
        { env },
        (_error, _stdout, text) => {
          done(text)
        },
      )
    })
    expect(said).toMatch(/errors ignored on restore: 1/)
    expect(await query(restored, 'SELECT count(*)::int AS orders FROM "Order"')).toEqual([{ orders: 2 }])
    expect(await query(restored, validated)).toEqual([{ name: 'of', valid: false }])
    await source.query(`DROP DATABASE ${restored}`)
  })
})
