import type { Connection } from '@securyflex/shared/config'
import { openConnection } from './connect.ts'
import { allRows } from './rows.ts'
import { scratchName } from './scratch.ts'

/** The databases of a server, by name. */
export interface FoundDatabases {
  /** Those that the role may connect to. */
  readonly open: readonly string[]
  /** Those that it may not, though others may. */
  readonly closed: readonly string[]
}

/**
 * The databases of the server of `connection`: no templates, none that nobody may connect to, none whose removal was
 * cut short (datconnlimit -2), and none that a restore is still filling.
 * @throws DATABASE_UNREACHABLE, DATABASE_REFUSED
 */
export async function listDatabases(connection: Connection, signal?: AbortSignal): Promise<FoundDatabases> {
  const client = await openConnection(connection, {
    applicationName: 'securyflex-backup databases',
    ...(signal === undefined ? {} : { signal }),
  })
  try {
    const rows = await allRows<{ name: string; open: boolean }>(
      client,
      `SELECT d.datname AS name, has_database_privilege(d.oid, 'CONNECT') AS open
         FROM pg_catalog.pg_database d
        WHERE d.datallowconn AND NOT d.datistemplate AND d.datconnlimit <> -2 AND d.datname !~ $1
        ORDER BY d.datname COLLATE "C"`,
      [scratchName.source],
    )
    const named = (open: boolean) => rows.flatMap((row) => (row.open === open ? [row.name] : []))
    return { open: named(true), closed: named(false) }
  } finally {
    await client.end()
  }
}
