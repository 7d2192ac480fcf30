import type { FingerprintLevel, Selection } from '@securyflex/shared/config'
import pg from 'pg'
import { allRows, oneRow } from '../rows.ts'
import { type Chosen, chooseRelations } from '../selection/choose.ts'
import { databaseShape } from './database.ts'
import type { Fingerprint, RecordedLevel } from './fingerprint.ts'
import { largeObjects } from './large-objects.ts'
import { explainReading, noText } from './reading-error.ts'
import { sequences } from './sequences.ts'
import { ignoreLostConnection, inSubtransaction } from './subtransaction.ts'
import { tables } from './tables.ts'

/**
 * Records what the database of `client` holds: inside the transaction that is open there (a snapshot's), or
 * in a read-only one of its own. Sequences are read first, because they belong to no snapshot: take the
 * fingerprint before the dump starts, and a later value in the dump is progress, not damage.
 *
 * It reads every table once, with one query each. Waits for a lock end after the session's `lock_timeout`.
 * The transaction survives a failure.
 *
 * With a `selection` it is what a copy made from such a dump will hold: tables and sequences that are left out are
 * not in it, and those whose rows are left out are empty.
 *
 * @throws DATABASE_REFUSED, DATABASE_BUSY, DATABASE_UNREACHABLE, naming what was being read; CONFIG_INVALID.
 */
export async function takeFingerprint(
  client: pg.Client,
  level: RecordedLevel,
  selection?: Selection,
): Promise<Fingerprint>
export async function takeFingerprint(
  client: pg.Client,
  level: FingerprintLevel,
  selection?: Selection,
): Promise<Fingerprint | undefined>
export async function takeFingerprint(
  client: pg.Client,
  level: FingerprintLevel,
  selection?: Selection,
): Promise<Fingerprint | undefined> {
  if (level === 'off') return undefined
  if (client.getTransactionStatus() === 'T')
    return await inSubtransaction(client, () => record(client, level, selection))
  // One message: a limit on the transaction (17 and newer) runs from its beginning.
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${withoutTransactionLimit}`)
  try {
    return await record(client, level, selection)
  } finally {
    await client.query('ROLLBACK').catch(ignoreLostConnection)
  }
}

async function record(
  client: pg.Client,
  level: RecordedLevel,
  selection: Selection | undefined,
): Promise<Fingerprint> {
  try {
    return await recordAll(client, level, await chooseRelations(client, selection))
  } catch (error) {
    throw isNoText(error) ? explainReading(error, 'the names in this database') : error
  }
}

/** A name in a database of SQL_ASCII can be any bytes. */
function isNoText(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === noText
}

async function recordAll(
  client: pg.Client,
  level: RecordedLevel,
  chosen: Chosen | undefined,
): Promise<Fingerprint> {
  await fixSettings(client)
  const found = { sequences: await sequences(client, chosen) }
  const facts = await oneRow<{ taken: Date; version: string; number: number; probe: string }>(
    client,
    `SELECT now() AS taken, current_setting('server_version') AS version,
            current_setting('server_version_num')::int AS number,
            hashtextextended('SecuryFlex' COLLATE "C", 1)::text AS probe`,
  )
  return {
    format: 1,
    level,
    takenAt: facts.taken.toISOString(),
    server: { version: facts.version, versionNumber: facts.number },
    probe: facts.probe,
    database: await databaseShape(client, facts.number),
    extensions: await extensions(client, chosen),
    tables: await tables(client, level, facts.number, chosen),
    materializedViews: await materializedViews(client, chosen),
    sequences: found.sequences,
    largeObjects: chosen?.everything === false ? { count: 0 } : await largeObjects(client, level),
  }
}

/**
 * The text form of a value must not depend on what a role or a database has set for its sessions: dates,
 * intervals, floats, bytea, money and the names of tables in `regclass` values do. Nor may a limit that is
 * meant for small queries end a large one.
 */
async function fixSettings(client: pg.Client): Promise<void> {
  const settings = {
    DateStyle: 'ISO, YMD',
    IntervalStyle: 'postgres',
    TimeZone: 'UTC',
    extra_float_digits: '3',
    bytea_output: 'hex',
    xmloption: 'content',
    lc_monetary: 'C',
    quote_all_identifiers: 'off',
    search_path: 'pg_catalog',
    row_security: 'off',
    statement_timeout: '0',
  }
  for (const [name, value] of Object.entries(settings)) {
    await client.query('SELECT set_config($1, $2, true)', [name, value])
  }
  await client.query(withoutTransactionLimit)
}

/** Since 17. */
const withoutTransactionLimit = `SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'`

/** The first object id that is not the server's own: what has a lower one is in every new database (transam.h). */
const firstNormalId = 16_384

async function extensions(client: pg.Client, chosen: Chosen | undefined): Promise<Record<string, string>> {
  const rows = await allRows<{ name: string; version: string }>(
    client,
    `SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension
      WHERE $1 OR oid::bigint < ${String(firstNormalId)} ORDER BY extname COLLATE "C"`,
    [chosen?.everything ?? true],
  )
  return Object.fromEntries(rows.map(({ name, version }) => [name, version]))
}

/** Their rows are not part of a dump: a restore refills them, so that only this can be compared. */
async function materializedViews(
  client: pg.Client,
  chosen: Chosen | undefined,
): Promise<Fingerprint['materializedViews']> {
  const rows = await allRows<Fingerprint['materializedViews'][number]>(
    client,
    `SELECT n.nspname AS schema, c.relname AS name,
            c.relispopulated AND ($2::oid[] IS NULL OR c.oid = ANY ($2)) AS populated
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'm' AND ($1::oid[] IS NULL OR c.oid = ANY ($1))
      ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`,
    [chosen?.dumped, chosen?.data],
  )
  return [...rows]
}
