import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { type Access, administrationUrl } from '../helpers/postgres.ts'
import { type Restoration, roundTrip } from '../helpers/round-trip.ts'
import { witnessOf } from '../helpers/witness.ts'

const minutes = 60_000

/** Databases that a test made, to be dropped after it. */
let made: string[] = []
let installation: Installation | undefined

beforeEach(() => {
  made = []
})

afterEach(async () => {
  await administer(made.map((name) => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  await installation?.[Symbol.asyncDispose]()
  installation = undefined
}, minutes)

async function administer(statements: readonly string[]): Promise<void> {
  const client = new pg.Client(await administrationUrl())
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}

/** An installation whose source is a new database, created with `options` and filled with `statements`. */
async function installationOf(
  options: string,
  statements: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<{ access: Access; source: string; restored: string; installed: Installation }> {
  let source = ''
  const installed = await startInstallation(async (database) => {
    source = `${database.name}_source`
    made.push(source, `${source}_restored`)
    await administer([`CREATE DATABASE ${source} TEMPLATE template0 ${options}`])
    const url = database.url.replace(database.name, source)
    const client = new pg.Client(url)
    await client.connect()
    for (const statement of statements) await client.query(statement)
    await client.end()
    return { DATABASE_URL: url, BACKUP_FINGERPRINT: 'checksums', ...more }
  })
  installation = installed
  return { access: installed.database, source, restored: `${source}_restored`, installed }
}

/** Backs it up and restores it, and expects psql and pg_dump to see the same on both sides. */
async function expectSame(
  { access, source, restored, installed }: Awaited<ReturnType<typeof installationOf>>,
  queries: readonly string[],
  encoding: 'UTF8' | 'SQL_ASCII' = 'UTF8',
): Promise<Restoration> {
  const restoration = await roundTrip(installed, restored)
  const [left, right] = [
    await witnessOf(access, source, encoding),
    await witnessOf(access, restored, encoding),
  ]
  for (const query of queries) {
    expect({ query, ...(await right.rows(query)) }).toEqual({ query, ...(await left.rows(query)) })
  }
  expect(await right.definitions({ create: true })).toBe(await left.definitions({ create: true }))
  if (restoration.comparison) expect(restoration.comparison).toMatchObject({ differences: [], notes: [] })
  expect(restoration.properties.refused).toEqual([])
  return restoration
}

const shape = `SELECT encoding, datcollate, datctype, datlocprovider, daticulocale FROM pg_database WHERE datname = current_database()`

describe('a database', () => {
  it(
    'that is empty comes back empty',
    async () => {
      const { comparison } = await expectSame(await installationOf('', []), [shape])
      expect(comparison?.compared).toMatchObject({ tables: 0, rows: 0 })
    },
    minutes,
  )

  it(
    'in LATIN1 comes back with its bytes, names and comments',
    async () => {
      const database = await installationOf(`ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`, [
        `CREATE TYPE "Größe" AS ENUM ('klein', 'groß')`,
        `CREATE TABLE "Straße" (id int PRIMARY KEY, "naïve" text, how "Größe")`,
        `INSERT INTO "Straße" SELECT n, chr(n) || 'é', 'groß' FROM generate_series(1, 255) AS n WHERE n NOT BETWEEN 128 AND 159`,
        `INSERT INTO "Straße" VALUES (1000, repeat('ÿ', 300000), 'klein')`,
        `CREATE SEQUENCE "Zähler" START 5`,
        `CREATE MATERIALIZED VIEW "Übersicht" AS SELECT count(*) FROM "Straße"`,
        `COMMENT ON TABLE "Straße" IS 'ça va'`,
        `DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS ''à propos''', current_database()); END $$`,
      ])
      await expectSame(database, [
        shape,
        `SELECT * FROM "Straße" ORDER BY id`,
        `SELECT * FROM "Übersicht"`,
        `SELECT last_value FROM "Zähler"`,
        `SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()`,
      ])
    },
    minutes,
  )

  it(
    'in SQL_ASCII comes back with bytes that are no text in any encoding',
    async () => {
      const database = await installationOf(`ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`, [
        `CREATE TABLE bytes (id int, anything text)`,
        `INSERT INTO bytes SELECT n, chr(n) || chr(255) || chr(233) FROM generate_series(1, 255) AS n`,
        `CREATE TABLE "café" (id int); INSERT INTO "café" VALUES (1)`,
      ])
      const { comparison } = await expectSame(
        database,
        [shape, `SELECT * FROM bytes ORDER BY id`, `SELECT * FROM "café"`],
        'SQL_ASCII',
      )
      expect(comparison?.compared).toMatchObject({ tables: 2, checksums: 2 })
    },
    minutes,
  )

  it(
    'whose names are no text is refused with a remedy, and comes back with it',
    async () => {
      const make = [
        `DO $$ BEGIN EXECUTE format('CREATE TABLE %I (id int, %I text)', 'caf' || chr(233), chr(254)); END $$`,
        `DO $$ BEGIN EXECUTE format('INSERT INTO %I VALUES (7, chr(200))', 'caf' || chr(233)); END $$`,
        `DO $$ BEGIN EXECUTE format('CREATE SEQUENCE %I', chr(252) || chr(255)); END $$`,
      ]
      const ascii = `ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`
      const refused = await installationOf(ascii, make)
      await using worker = await refused.installed.startWorker()
      const job = await refused.installed.ended(await refused.installed.request())
      expect(job.failedReason).toMatch(/names in this database are not all UTF-8.*BACKUP_FINGERPRINT=off/)
      await worker.kill('SIGTERM')
      await refused.installed[Symbol.asyncDispose]()

      const database = await installationOf(ascii, make, { BACKUP_FINGERPRINT: 'off' })
      const queries = [
        `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`,
        `SELECT query_to_xml(format('SELECT id FROM %I', 'caf' || chr(233)), true, false, '')`,
      ]
      const { comparison } = await expectSame(database, queries, 'SQL_ASCII')
      expect(comparison).toBeUndefined()
    },
    minutes,
  )

  it(
    'with an ICU locale and in EUC_JP comes back with both',
    async () => {
      const icu = await installationOf(`LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE' LC_COLLATE 'C' LC_CTYPE 'C'`, [
        `CREATE TABLE words (w text PRIMARY KEY)`,
        `INSERT INTO words VALUES ('zebra'), ('äpple'), ('Adam'), ('öl'), ('adam')`,
      ])
      await expectSame(icu, [shape, `SELECT w FROM words ORDER BY w`])
      await icu.installed[Symbol.asyncDispose]()
      const japanese = await installationOf(`ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C'`, [
        `CREATE TABLE "日本" ("語" text)`,
        `INSERT INTO "日本" VALUES ('東京'), ('ｶﾅ')`,
      ])
      await expectSame(japanese, [shape, `SELECT * FROM "日本" ORDER BY 1`])
    },
    2 * minutes,
  )

  it(
    'with one row of 200 MB comes back',
    async () => {
      const database = await installationOf('', [
        `CREATE TABLE huge (id int, bytes bytea)`,
        `INSERT INTO huge SELECT 1, string_agg(sha256(n::text::bytea), '' ORDER BY n) FROM generate_series(1, 6553600) AS n`,
        `INSERT INTO huge VALUES (2, 'small')`,
      ])
      const { comparison } = await expectSame(database, [
        `SELECT id, length(bytes) FROM huge ORDER BY id`,
        `SELECT id, sha256(bytes) FROM huge ORDER BY id`,
        `SELECT * FROM huge WHERE id = 1`,
      ])
      expect(comparison?.compared).toMatchObject({ rows: 2, checksums: 1 })
    },
    10 * minutes,
  )

  it(
    'with 5,000 tables comes back',
    async () => {
      const some = (from: number) =>
        `DO $$ BEGIN FOR n IN ${String(from)} .. ${String(from + 499)} LOOP
         EXECUTE format('CREATE TABLE t_%s (id serial PRIMARY KEY, note text DEFAULT %L)', n, n);
         EXECUTE format('INSERT INTO t_%s SELECT n, n FROM generate_series(1, %s) AS n', n, n % 7);
       END LOOP; END $$`
      const database = await installationOf(
        '',
        Array.from({ length: 10 }, (_, index) => some(index * 500)),
      )
      const { comparison } = await expectSame(database, [
        `SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
        `SELECT * FROM t_4998 ORDER BY id`,
      ])
      expect(comparison?.compared).toMatchObject({ tables: 5000, sequences: 5000, rows: 14_995 })
    },
    10 * minutes,
  )
})
