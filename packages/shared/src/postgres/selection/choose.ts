import type { Selection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import pg from 'pg'
import { allRows, oneRow } from '../rows.ts'
import { patternParts } from './pattern.ts'

/** What of a database a selection chooses, as pg_dump would. */
export interface Chosen {
  /** False where only some schemas or tables are named: then neither extensions nor large objects are dumped. */
  readonly everything: boolean
  /** Object ids of tables, sequences and materialised views that are dumped. */
  readonly dumped: readonly string[]
  /** Those of them whose rows, or values, are dumped, too. */
  readonly data: readonly string[]
  /** What leaves something out and matches nothing; a sentence each. */
  readonly unmatched: readonly string[]
  /** What a restore will miss; a sentence each. */
  readonly missed: readonly string[]
}

/** Whether anything is chosen or left out at all. */
export function isPartial(selection: Selection | undefined): selection is Selection {
  return selection !== undefined && patternsOf(selection).length > 0
}

function patternsOf(selection: Selection): string[] {
  const { schemas, tables, withoutSchemas, withoutTables, withoutTableData } = selection
  return [schemas, tables, withoutSchemas, withoutTables, withoutTableData].flat()
}

/**
 * Finds what a selection chooses in the database of `client`; pg_dump's own rules, in its order (pg_dump.c,
 * selectDumpableNamespace, selectDumpableTable, getOwnedSeqs, makeTableDataInfo).
 * @returns undefined if it chooses everything
 * @throws CONFIG_INVALID for a pattern that names what is to be backed up and matches nothing
 */
export async function chooseRelations(
  client: pg.Client,
  selection: Selection | undefined,
): Promise<Chosen | undefined> {
  if (!isPartial(selection)) return undefined
  await refuseLetters(client, selection)
  // A table's name without a schema means what the role would see, whatever this session looks through.
  await client.query('RESET search_path')
  const unmatched: string[] = []
  const schemas = await findAll(client, 'include.schemas', selection.schemas, findSchemas)
  const tables = await findAll(client, 'include.tables', selection.tables, findTables)
  await refuseSystemTables(client, tables)
  const withoutSchemas = await findAll(
    client,
    'exclude.schemas',
    selection.withoutSchemas,
    findSchemas,
    unmatched,
  )
  const withoutTables = await findAll(
    client,
    'exclude.tables',
    selection.withoutTables,
    findTables,
    unmatched,
  )
  const withoutData = await findAll(
    client,
    'exclude.tableData',
    selection.withoutTableData,
    findTables,
    unmatched,
  )
  const rows = await allRows<{ oid: string; data: boolean }>(client, chosenRelations, [
    selection.tables.length > 0,
    selection.schemas.length > 0,
    ...[tables, schemas, withoutSchemas, withoutTables, withoutData],
  ])
  const dumped = rows.map(({ oid }) => oid)
  const data = rows.flatMap(({ oid, data }) => (data ? [oid] : []))
  return {
    everything: selection.schemas.length === 0 && selection.tables.length === 0,
    dumped,
    data,
    unmatched,
    missed: await findMissed(client, dumped, data),
  }
}

/** How many of them are told. */
const told = 10

/** Tables that a restore cannot make whole, because something that they build upon is left out. */
async function findMissed(
  client: pg.Client,
  dumped: readonly string[],
  data: readonly string[],
): Promise<string[]> {
  const rows = await allRows<{ name: string; needs: string; rows: boolean }>(
    client,
    `SELECT DISTINCT f.child::regclass::text AS name, f.parent::regclass::text AS needs, f.parent = ANY ($1::oid[]) AS rows
       FROM (SELECT inhrelid AS child, inhparent AS parent, false AS refers FROM pg_catalog.pg_inherits
             UNION ALL SELECT conrelid, confrelid, true FROM pg_catalog.pg_constraint WHERE contype = 'f') AS f
      WHERE f.child = ANY ($1) AND (f.parent <> ALL ($1) OR (f.refers AND f.child = ANY ($2::oid[]) AND f.parent <> ALL ($2)))
      ORDER BY 1, 2 LIMIT ${String(told)}`,
    [dumped, data],
  )
  return rows.map(
    ({ name, needs, rows }) =>
      `Table ${name} needs ${rows ? 'the rows of ' : ''}${needs}, which ${rows ? 'are' : 'is'} left out: a restore will stop there.`,
  )
}

/**
 * Whether tables or else schemas are named, then the ids of tables, schemas, and of the schemas, tables and tables'
 * data that are left out. A sequence goes with the table that owns it: that of an identity column always, another one
 * also by itself.
 */
const chosenRelations = `
  WITH relation AS (
    SELECT c.oid, c.relkind,
           CASE WHEN $1 THEN c.oid = ANY ($3::oid[])
                WHEN $2 THEN c.relnamespace = ANY ($4::oid[]) AND c.relnamespace <> ALL ($5::oid[])
                ELSE c.relnamespace <> ALL ($5::oid[]) END
           AND c.oid <> ALL ($6::oid[]) AS chosen
      FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'S', 'm', 'v', 'f'))
  SELECT r.oid::text AS oid, r.oid <> ALL ($7::oid[]) AS data
    FROM relation r
    LEFT JOIN pg_catalog.pg_depend d
      ON r.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = r.oid AND d.objsubid = 0
     AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
    LEFT JOIN relation o ON o.oid = d.refobjid
   WHERE r.relkind IN ('r', 'p', 'S', 'm')
     AND CASE WHEN o.oid IS NULL THEN r.chosen WHEN d.deptype = 'i' THEN o.chosen ELSE r.chosen OR o.chosen END`

/** The ids of what one pattern matches. */
type Find = (client: pg.Client, parts: readonly string[]) => Promise<readonly { oid: string }[]>

/** Since 12 names are compared by the bytes unless another collation is named; pg_dump names this one. */
const matches = (column: string, parameter: number) =>
  `(${column}::text COLLATE pg_catalog."default") OPERATOR(pg_catalog.~) $${String(parameter)}`

const findSchemas: Find = (client, [name]) =>
  allRows(client, `SELECT n.oid::text FROM pg_catalog.pg_namespace n WHERE ${matches('n.nspname', 1)}`, [
    name,
  ])

const findTables: Find = (client, [first, second]) => {
  const where =
    second === undefined
      ? `${matches('c.relname', 1)} AND pg_catalog.pg_table_is_visible(c.oid)`
      : `${matches('n.nspname', 1)} AND ${matches('c.relname', 2)}`
  return allRows(
    client,
    `SELECT c.oid::text FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p') AND ${where}`,
    second === undefined ? [first] : [first, second],
  )
}

/** The ids of what any of the patterns matches. One that matches nothing is an error, or a sentence in `unmatched`. */
async function findAll(
  client: pg.Client,
  setting: string,
  patterns: readonly string[],
  find: Find,
  unmatched?: string[],
): Promise<string[]> {
  const oids: string[] = []
  for (const pattern of patterns) {
    const most = find === findSchemas ? 1 : 2
    const parts = patternParts(pattern)
    if (parts.length > most)
      throw wrong(setting, pattern, 'has too many dots', 'Put a name with a dot in quotes.')
    const found = await find(client, parts).catch((error: unknown) => {
      // invalid_regular_expression
      if (!(error instanceof pg.DatabaseError) || error.code !== '2201B') throw error
      throw wrong(
        setting,
        pattern,
        `is no pattern (${error.message})`,
        'Put a name with such letters in quotes.',
      )
    })
    oids.push(...found.map(({ oid }) => oid))
    if (found.length > 0) continue
    const what = await nothing(client, setting)
    if (unmatched === undefined) throw wrong(setting, pattern, what, 'Correct it or remove it.')
    unmatched.push(`The pattern “${pattern}” of ${setting} ${what}.`)
  }
  return oids
}

async function nothing(client: pg.Client, setting: string): Promise<string> {
  const { database } = await oneRow<{ database: string }>(client, 'SELECT current_database() AS database')
  const kind = setting.endsWith('schemas') ? 'schema' : 'table'
  return `matches no ${kind} of database "${database}"`
}

function wrong(setting: string, pattern: string, what: string, hint: string): BackupError {
  return new BackupError('CONFIG_INVALID', `The pattern “${pattern}” of ${setting} ${what}.`, { hint })
}

/** Without a schema, `*` also means what the server keeps for itself: no database takes that back. */
async function refuseSystemTables(client: pg.Client, tables: readonly string[]): Promise<void> {
  if (tables.length === 0) return
  const [found] = await allRows<{ name: string }>(
    client,
    `SELECT c.oid::regclass::text AS name FROM pg_catalog.pg_class c
      WHERE c.oid = ANY ($1::oid[]) AND c.relnamespace::regnamespace::text IN ('pg_catalog', 'information_schema')
      ORDER BY 1 LIMIT 1`,
    [tables],
  )
  if (found === undefined) return
  throw new BackupError(
    'CONFIG_INVALID',
    `The patterns of include.tables also choose the server's own tables, ${found.name} for one.`,
    { hint: 'Write the schema before the name, for example public.*.' },
  )
}

/** pg_dump takes its arguments for text in the database's encoding. */
async function refuseLetters(client: pg.Client, selection: Selection): Promise<void> {
  const odd = patternsOf(selection).find((pattern) => /[^\0-\x7f]/.test(pattern))
  if (odd === undefined) return
  const { encoding } = await oneRow<{ encoding: string }>(
    client,
    `SELECT current_setting('server_encoding') AS encoding`,
  )
  if (encoding === 'UTF8') return
  throw new BackupError(
    'CONFIG_INVALID',
    `The pattern “${odd}” cannot be used: pg_dump would read it as ${encoding}, the database's encoding.`,
    { hint: 'Write ? in place of each letter that is not ASCII.' },
  )
}
