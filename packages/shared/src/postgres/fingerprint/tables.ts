import pg from 'pg'
import { allRows, oneRow } from '../rows.ts'
import type { Chosen } from '../selection/choose.ts'
import { checksumOf } from './checksum.ts'
import type { RecordedLevel, TableFingerprint } from './fingerprint.ts'
import { explainReading } from './reading-error.ts'
import { inSubtransaction } from './subtransaction.ts'

const { escapeIdentifier } = pg

interface Table {
  readonly schema: string
  readonly name: string
  /** In the order of their names, because the physical order can change in a restore (inheritance). */
  readonly columns: readonly string[]
  readonly readable: boolean
  /** Whether a dump holds its rows. */
  readonly data: boolean
  /** The topmost hash-partitioned table above it. */
  readonly hashed: readonly [schema: string, name: string] | null
}

/** Tables whose locks are held at the same time. */
const batch = 50

/** Every plain table and every leaf of a partitioned one, counted and, if asked, summed up. */
export async function tables(
  client: pg.Client,
  level: RecordedLevel,
  version: number,
  chosen: Chosen | undefined,
): Promise<TableFingerprint[]> {
  const listed = await listTables(client, version, chosen)
  const found: TableFingerprint[] = []
  for (let start = 0; start < listed.length; start += batch) {
    await inSubtransaction(client, async () => {
      for (const table of listed.slice(start, start + batch))
        found.push(await readTable(client, table, level))
    })
  }
  return found
}

/**
 * Tables that a dump holds: not temporary, not an extension's own. Unlogged ones cannot be read on a
 * standby, and are empty in a dump from there. Virtual generated columns (18) follow from the others.
 */
async function listTables(
  client: pg.Client,
  version: number,
  chosen: Chosen | undefined,
): Promise<readonly Table[]> {
  const virtual = version >= 180_000 ? `AND a.attgenerated <> 'v'` : ''
  return await allRows<Table>(
    client,
    `SELECT n.nspname AS schema, c.relname AS name,
            NOT (pg_is_in_recovery() AND c.relpersistence = 'u') AS readable,
            ($2::oid[] IS NULL OR c.oid = ANY ($2)) AS data,
            CASE WHEN c.relispartition THEN (${topmostHashed}) END AS hashed,
            ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ${virtual}
                   ORDER BY a.attname COLLATE "C") AS columns
       FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ($1::oid[] IS NULL OR c.oid = ANY ($1))
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`,
    [chosen?.dumped, chosen?.data],
  )
}

/** Of the partition `c`; a table above it that is not dumped takes no rows in a copy. */
const topmostHashed = `
  WITH RECURSIVE above (oid, height) AS (
    SELECT i.inhparent, 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid
    UNION ALL
    SELECT i.inhparent, a.height + 1 FROM above a JOIN pg_catalog.pg_class p ON p.oid = a.oid AND p.relispartition
      JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.oid)
  SELECT ARRAY[n.nspname, p.relname]::text[] FROM above a
    JOIN pg_catalog.pg_partitioned_table h ON h.partrelid = a.oid AND h.partstrat = 'h' AND ($1::oid[] IS NULL OR h.partrelid = ANY ($1))
    JOIN pg_catalog.pg_class p ON p.oid = a.oid JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
   ORDER BY a.height DESC LIMIT 1`

async function readTable(client: pg.Client, table: Table, level: RecordedLevel): Promise<TableFingerprint> {
  const { hashed } = table
  return { ...(await readRows(client, table, level)), ...(hashed === null ? {} : { hashed: [...hashed] }) }
}

async function readRows(
  client: pg.Client,
  { schema, name, columns, readable, data }: Table,
  level: RecordedLevel,
): Promise<TableFingerprint> {
  if (!data) return { schema, name, rows: 0, ...(level === 'checksums' ? { checksum: ['0', '0'] } : {}) }
  if (!readable) return { schema, name, rows: null }
  const from = `ONLY ${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
  try {
    const sums = level === 'checksums' ? await checksumOfRows(client, from, columns) : undefined
    if (sums !== undefined) return { schema, name, ...sums }
    const { rows } = await oneRow<{ rows: string }>(client, `SELECT count(*) AS rows FROM ${from}`)
    return { schema, name, rows: Number(rows) }
  } catch (error) {
    throw explainReading(error, `table ${schema}.${name}`)
  }
}

/** Undefined if the server cannot make a row into one text: a table is not left out of a backup for that. */
async function checksumOfRows(
  client: pg.Client,
  from: string,
  columns: readonly string[],
): Promise<(Pick<TableFingerprint, 'checksum'> & { readonly rows: number }) | undefined> {
  const row = `ROW(${columns.map((column) => `t.${escapeIdentifier(column)}`).join(', ')})::text`
  try {
    return await inSubtransaction(client, () =>
      checksumOf(client, `SELECT ${row} AS content FROM ${from} AS t`),
    )
  } catch (error) {
    if (isTooLong(error)) return undefined
    throw error
  }
}

/**
 * The text of a row is longer than a text can be (1 GB, MaxAllocSize), or than there is memory for. COPY may take the
 * same row, since it doubles no quotes.
 */
function isTooLong(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false
  if (error.code === '54000' || error.code === '53200') return true
  return error.code === 'XX000' && /invalid memory alloc request size/.test(error.message)
}
