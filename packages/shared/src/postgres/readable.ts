import type { Selection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import pg from 'pg'
import { allRows } from './rows.ts'
import { type Chosen, chooseRelations } from './selection/choose.ts'
import { type Answer, answerOf } from './server-facts.ts'

const { escapeIdentifier } = pg

/**
 * Relations whose rows pg_dump reads: tables, partitioned tables, sequences. Not temporary ones, not the
 * server's own, and of extensions only what they mark as configuration. Materialised views are refilled
 * from their query and not read.
 */
const dumpedRelations = `
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'S')
   AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                      AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e
                                       WHERE e.oid = d.refobjid AND c.oid = ANY (e.extconfig)))`

interface Relation {
  readonly schema: string
  readonly name: string
  readonly kind: string
}

/** How many names one message lists. */
const listed = 10

/**
 * Finds out before a dump what the role of this connection may not read, and names all of it in one error:
 * pg_dump would stop at the first, after waiting for its locks. What `selection` leaves out need not be readable.
 *
 * @throws DATABASE_REFUSED with the statement that grants it, CONFIG_INVALID for a selection that does not fit.
 */
export async function refuseUnreadable(client: pg.Client, selection?: Selection): Promise<void> {
  const chosen = await chooseRelations(client, selection)
  const asker = await answerOf(client)
  if (asker.superuser) return
  await refuseForbidden(client, asker, chosen)
  await refuseHiddenRows(client, asker, chosen)
  if (chosen?.everything !== false) await refuseForbiddenLargeObjects(client, asker)
}

/** A table whose rows alone are left out is locked all the same, and that needs the right to read it. */
async function refuseForbidden(
  client: pg.Client,
  { user: role, database, versionNumber: version }: Answer,
  chosen: Chosen | undefined,
): Promise<void> {
  const forbidden = await allRows<Relation>(
    client,
    `SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind ${dumpedRelations}
        AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'))
        AND ($1::oid[] IS NULL OR c.oid = ANY (CASE WHEN c.relkind = 'S' THEN $2::oid[] ELSE $1::oid[] END))
      ORDER BY 1, 2`,
    [chosen?.dumped, chosen?.data],
  )
  if (forbidden.length === 0) return
  throw new BackupError(
    'DATABASE_REFUSED',
    `The role "${role}" may not read ${countOf(forbidden)} of database "${database}": ${names(forbidden)}.`,
    {
      hint: `Type as a superuser: ${version >= 140_000 ? `GRANT pg_read_all_data TO ${escapeIdentifier(role)};` : grants(forbidden, role)}`,
    },
  )
}

function countOf(relations: readonly Relation[]): string {
  const sequences = relations.filter(({ kind }) => kind === 'S').length
  const tables = relations.length - sequences
  const parts = [many(tables, 'table'), many(sequences, 'sequence')]
  return parts.filter((part) => part !== '').join(' and ')
}

function many(count: number, noun: string): string {
  return count === 0 ? '' : `${String(count)} ${noun}${count === 1 ? '' : 's'}`
}

function names(relations: readonly { schema: string; name: string }[]): string {
  const shown = relations.slice(0, listed).map(({ schema, name }) => `${schema}.${name}`)
  return (
    shown.join(', ') + (relations.length > listed ? `, and ${String(relations.length - listed)} more` : '')
  )
}

/** Version 13 and older have no role that reads everything. */
function grants(relations: readonly Relation[], role: string): string {
  const schemas = [...new Set(relations.map(({ schema }) => escapeIdentifier(schema)))].join(', ')
  const to = `IN SCHEMA ${schemas} TO ${escapeIdentifier(role)};`
  return `GRANT USAGE ON SCHEMA ${schemas} TO ${escapeIdentifier(role)}; GRANT SELECT ON ALL TABLES ${to} GRANT SELECT ON ALL SEQUENCES ${to}`
}

/** pg_dump reads with `row_security = off`, which turns a policy into an error instead of missing rows. */
async function refuseHiddenRows(
  client: pg.Client,
  { user: role, database }: Answer,
  chosen: Chosen | undefined,
): Promise<void> {
  const hidden = await allRows<Relation>(
    client,
    `SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind ${dumpedRelations}
        AND c.relkind IN ('r', 'p') AND row_security_active(c.oid)
        AND ($1::oid[] IS NULL OR c.oid = ANY ($1)) ORDER BY 1, 2`,
    [chosen?.data],
  )
  if (hidden.length === 0) return
  throw new BackupError(
    'DATABASE_REFUSED',
    `Row security would hide rows of ${countOf(hidden)} of database "${database}" from the role "${role}": ${names(hidden)}.`,
    { hint: `Type as a superuser: ALTER ROLE ${escapeIdentifier(role)} BYPASSRLS;` },
  )
}

/** There is no function for this before version 18, so the access list is read as the server reads it. */
async function refuseForbiddenLargeObjects(
  client: pg.Client,
  { user: role, database }: Answer,
): Promise<void> {
  const forbidden = await allRows<{ oid: string }>(
    client,
    `SELECT m.oid::text FROM pg_catalog.pg_largeobject_metadata m
      WHERE current_setting('lo_compat_privileges') = 'off' AND NOT pg_has_role(m.lomowner, 'USAGE')
        AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a
                         WHERE a.privilege_type = 'SELECT'
                           AND CASE WHEN a.grantee = 0 THEN true ELSE pg_has_role(a.grantee, 'USAGE') END)
      ORDER BY m.oid`,
  )
  if (forbidden.length === 0) return
  const some = forbidden
    .slice(0, listed)
    .map(({ oid }) => oid)
    .join(', ')
  throw new BackupError(
    'DATABASE_REFUSED',
    `The role "${role}" may not read ${many(forbidden.length, 'large object')} of database "${database}": ${some}${forbidden.length > listed ? ', …' : ''}.`,
    {
      hint: `Type as a superuser: DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_largeobject_metadata LOOP EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO %I', o, ${pg.escapeLiteral(role)}); END LOOP; END $$;`,
    },
  )
}
