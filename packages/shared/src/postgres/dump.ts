import type { Connection, Selection } from '@securyflex/shared/config'
import type { Client } from 'pg'
import { libpqEnvironment } from './environment.ts'
import { openConnection } from './connect.ts'
import { oneRow } from './rows.ts'
import { selectionArguments } from './selection/arguments.ts'
import { explainDump } from './tool-errors.ts'
import { startTool, type Tool } from './tool.ts'
import type { Tools } from './tools.ts'

/** How long pg_dump waits for the lock on a table. */
const lockWait = '10s'

/**
 * The database as it was at `snapshotId`, as pg_dump's custom format without compression: segments are
 * compressed later, and rows that did not change give the same bytes again. Narrow `connection` with
 * `sameServer` first, because the snapshot is known to one server only. `selection` is what of it, all by default.
 */
export function dumpArchive(
  tools: Tools,
  connection: Connection,
  snapshotId: string,
  signal?: AbortSignal,
  selection?: Selection,
): Tool {
  const args = [
    '--format=custom',
    '--compress=0',
    `--snapshot=${snapshotId}`,
    '--no-password',
    `--lock-wait-timeout=${lockWait}`,
    ...selectionArguments(selection),
  ]
  return startTool(tools.pg_dump, args, {
    env: { PGAPPNAME: 'securyflex-backup dump', ...libpqEnvironment(connection) },
    ...(signal === undefined ? {} : { signal }),
    explain: explainDump('pg_dump'),
  })
}

/** Every custom archive begins with this (pg_backup_archiver). */
const magic = Buffer.from('PGDMP', 'latin1')

/** Whether these first bytes are those of an archive. A tool that wrote nothing and exited with 0 made none. */
export function looksLikeArchive(firstBytes: Uint8Array): boolean {
  return firstBytes.length >= magic.length && magic.equals(firstBytes.subarray(0, magic.length))
}

/** pg_dumpall's output, and whether a server made from it lets its users in. */
export interface GlobalsTool extends Tool {
  /** Whether the hashes of the roles' passwords are part of it. */
  readonly rolePasswords: boolean
}

/**
 * Roles, memberships and tablespaces as SQL, so that a backup stands alone. Password hashes are included
 * where the role may read them (superusers; managed services forbid it): without them nobody could log in
 * after a restore. They are as secret as the rest of the backup. It cannot share the dump's snapshot.
 * `client`, if there is an open one of the same role, saves a connection.
 */
export async function dumpGlobals(
  tools: Tools,
  connection: Connection,
  signal?: AbortSignal,
  client?: Client,
): Promise<GlobalsTool> {
  const rolePasswords = await (client === undefined ? askOnce(connection, signal) : mayReadPasswords(client))
  const args = [
    '--globals-only',
    '--no-password',
    `--lock-wait-timeout=${lockWait}`,
    `--database=${conninfoDatabase(connection.database)}`,
  ]
  if (!rolePasswords) args.push('--no-role-passwords')
  const tool = startTool(tools.pg_dumpall, args, {
    env: { PGAPPNAME: 'securyflex-backup globals', ...libpqEnvironment(connection) },
    ...(signal === undefined ? {} : { signal }),
    explain: explainDump('pg_dumpall'),
  })
  return { ...tool, rolePasswords }
}

async function askOnce(connection: Connection, signal: AbortSignal | undefined): Promise<boolean> {
  const client = await openConnection(connection, {
    applicationName: 'securyflex-backup globals',
    ...(signal === undefined ? {} : { signal }),
  })
  try {
    return await mayReadPasswords(client)
  } finally {
    await client.end()
  }
}

async function mayReadPasswords(client: Client): Promise<boolean> {
  const { may } = await oneRow<{ may: boolean }>(
    client,
    `SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may`,
  )
  return may
}

/** A database's name as an argument that cannot be taken for a connection string, whatever it contains. */
export function conninfoDatabase(name: string): string {
  return `dbname='${name.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
