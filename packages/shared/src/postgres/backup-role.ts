import pg from 'pg'
import { allRows, oneRow } from './rows.ts'

const { escapeIdentifier, escapeLiteral } = pg

/** A role that may read what a backup needs, and nothing more. */
export interface BackupRole {
  readonly name: string
  /** Undefined where the role exists already. */
  readonly password: string | undefined
}

/**
 * What a superuser types to make such a role for the database of `client`: from version 14 on `pg_read_all_data`,
 * before that grants on what there is and on what its owners will make. Only where the database has row security or
 * large objects are the rights for these among it. The globals (roles, tablespaces) need none: without superuser
 * rights they are dumped without the roles' passwords. Changes nothing.
 */
export async function backupRoleSql(client: pg.Client, { name, password }: BackupRole): Promise<string[]> {
  const facts = await oneRow<{ version: number; database: string; policies: boolean; objects: boolean }>(
    client,
    `SELECT current_setting('server_version_num')::int AS version, current_database() AS database,
            EXISTS (SELECT FROM pg_catalog.pg_class WHERE relrowsecurity) AS policies,
            EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) AS objects`,
  )
  const role = escapeIdentifier(name)
  return [
    ...(password === undefined ? [] : [`CREATE ROLE ${role} LOGIN PASSWORD ${escapeLiteral(password)};`]),
    `GRANT CONNECT ON DATABASE ${escapeIdentifier(facts.database)} TO ${role};`,
    ...(facts.version >= 140_000 ? [`GRANT pg_read_all_data TO ${role};`] : await grantsOf(client, role)),
    ...(facts.policies ? [`ALTER ROLE ${role} BYPASSRLS;`] : []),
    ...(facts.objects ? [largeObjects(name)] : []),
  ]
}

/** What a role for backups would be, besides the one that this connection has. */
export interface ProposedRole {
  /** The role of this connection may do everything: a backup needs far less. */
  readonly superuser: boolean
  readonly sql: readonly string[]
}

/**
 * The least that a backup needs: for the role of `client`, or for one of its own where that is a superuser.
 * @param password of a role that does not exist yet
 */
export async function proposeBackupRole(client: pg.Client, password: string): Promise<ProposedRole> {
  const own = 'securyflex_backup'
  const { superuser, role, exists } = await oneRow<{ superuser: boolean; role: string; exists: boolean }>(
    client,
    `SELECT rolsuper AS superuser, rolname AS role,
            EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${escapeLiteral(own)}) AS exists
       FROM pg_catalog.pg_roles WHERE rolname = current_user`,
  )
  const wanted = superuser
    ? { name: own, password: exists ? undefined : password }
    : { name: role, password: undefined }
  return { superuser, sql: await backupRoleSql(client, wanted) }
}

/** Version 13 and older have no role that reads everything. */
export async function grantsOf(client: pg.Client, role: string): Promise<string[]> {
  const owned = await allRows<{ schema: string; owner: string }>(
    client,
    `SELECT DISTINCT n.nspname AS schema, pg_get_userbyid(coalesce(c.relowner, n.nspowner)) AS owner
       FROM pg_catalog.pg_namespace n
       LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'S')
      WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2`,
  )
  const schemas = [...new Set(owned.map(({ schema }) => escapeIdentifier(schema)))].join(', ')
  if (schemas === '') return []
  return [
    `GRANT USAGE ON SCHEMA ${schemas} TO ${role};`,
    `GRANT SELECT ON ALL TABLES IN SCHEMA ${schemas} TO ${role};`,
    `GRANT SELECT ON ALL SEQUENCES IN SCHEMA ${schemas} TO ${role};`,
    ...owned.flatMap(({ schema, owner }) =>
      ['TABLES', 'SEQUENCES'].map(
        (kind) =>
          `ALTER DEFAULT PRIVILEGES FOR ROLE ${escapeIdentifier(owner)} IN SCHEMA ${escapeIdentifier(schema)} GRANT SELECT ON ${kind} TO ${role};`,
      ),
    ),
  ]
}

/** `pg_read_all_data` does not open large objects, and one that is made later needs its own grant. */
function largeObjects(name: string): string {
  return `DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_largeobject_metadata LOOP EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO %I', o, ${escapeLiteral(name)}); END LOOP; END $$;`
}
