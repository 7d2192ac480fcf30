import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import {
  mayCreateDatabase,
  openConnection,
  refusePooler,
  serverFacts,
  type ServerFacts,
  type UnfinishedRestore,
  unfinishedRestores as unfinishedOn,
} from '@securyflex/shared/postgres'
import type pg from 'pg'
import type { Needs } from './needs/needs.ts'

/** The server that a backup is restored to. */
export interface Target {
  readonly client: pg.Client
  readonly facts: ServerFacts
}

const applicationName = 'securyflex-backup restore'

/**
 * Connects to the server and makes sure that the database `name` can be created there. The connection's own
 * database may be the one that was lost, so `postgres` comes first.
 * @throws DATABASE_EXISTS, DATABASE_REFUSED, DATABASE_UNREACHABLE, POOLER_REFUSED
 */
export async function openTarget(connection: Connection, name: string, signal: AbortSignal): Promise<Target> {
  const client = await openSomewhere(connection, signal)
  try {
    const facts = await serverFacts(client)
    if (
      (await client.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [name])).rowCount !== 0
    ) {
      throw new BackupError('DATABASE_EXISTS', `The database "${name}" exists already.`, {
        hint: 'Choose another name with --to; nothing was changed.',
      })
    }
    if (!(await mayCreateDatabase(client))) throw mayNotCreate(facts)
    await refusePooler(client, () =>
      openConnection(connection, { applicationName, signal, database: facts.database }),
    )
    return { client, facts }
  } catch (error) {
    await client.end()
    throw error
  }
}

/**
 * The databases that killed restores left on the server.
 * @throws DATABASE_REFUSED, DATABASE_UNREACHABLE
 */
export async function unfinishedRestores(
  connection: Connection,
  signal: AbortSignal,
): Promise<readonly UnfinishedRestore[]> {
  const client = await openSomewhere(connection, signal)
  return await unfinishedOn(client).finally(() => client.end())
}

/**
 * A name that no database of the server has: `wanted`, else `<wanted>_restored`, else that with a number.
 * @throws DATABASE_REFUSED, DATABASE_UNREACHABLE
 */
export async function freeDatabaseName(
  connection: Connection,
  wanted: string,
  signal: AbortSignal,
): Promise<string> {
  const client = await openSomewhere(connection, signal)
  try {
    const { rows } = await client.query<{ name: string }>(
      'SELECT datname AS name FROM pg_catalog.pg_database',
    )
    const taken = new Set(rows.map(({ name }) => name))
    let name = wanted
    for (let number = 1; taken.has(name); number += 1) {
      name = withSuffix(wanted, `_restored${number === 1 ? '' : `_${String(number)}`}`)
    }
    return name
  } finally {
    await client.end()
  }
}

/** The server cuts names of more than 63 bytes (NAMEDATALEN). */
function withSuffix(name: string, suffix: string): string {
  let kept = name
  while (Buffer.byteLength(kept + suffix) > 63) kept = kept.slice(0, -1)
  return kept + suffix
}

async function openSomewhere(connection: Connection, signal: AbortSignal): Promise<pg.Client> {
  try {
    return await openConnection(connection, { applicationName, signal, database: 'postgres' })
  } catch (error) {
    const elsewhere =
      error instanceof BackupError && error.code === 'DATABASE_REFUSED' && !/password/.test(error.message)
    if (!elsewhere) throw error
    return await openConnection(connection, { applicationName, signal })
  }
}

function mayNotCreate({ user, inRecovery }: ServerFacts): BackupError {
  return inRecovery
    ? new BackupError('DATABASE_REFUSED', 'The server is a standby, and nothing can be created there.', {
        hint: 'Name its primary, in DATABASE_URL or with --target-url.',
      })
    : new BackupError('DATABASE_REFUSED', `The role "${user}" may not create a database.`, {
        hint: `Type as a superuser: ALTER ROLE "${user}" CREATEDB;`,
      })
}

/**
 * @param shownBy the command that shows how roles and tablespaces were
 * @throws RESTORE_FAILED if the server lacks a role or a tablespace that the backup names
 */
export async function refuseMissing({ client }: Target, needs: Needs, shownBy: string): Promise<void> {
  const roles = await missing(client, 'SELECT rolname FROM pg_catalog.pg_roles', needs.roles)
  const tablespaces = await missing(client, 'SELECT spcname FROM pg_catalog.pg_tablespace', needs.tablespaces)
  if (roles.length + tablespaces.length === 0) return
  const list = [...named('role', roles), ...named('tablespace', tablespaces)].join(' and ')
  const rest = tablespaces.length === 0 ? ', or leave owners and privileges out with --without-owners' : ''
  throw new BackupError('RESTORE_FAILED', `The server lacks the ${list}, which the backup needs.`, {
    hint: `Create what is missing (${shownBy} shows how it was)${rest}.`,
  })
}

async function missing(client: pg.Client, sql: string, wanted: readonly string[]): Promise<string[]> {
  if (wanted.length === 0) return []
  const { rows } = await client.query<[string]>({ text: sql, rowMode: 'array' })
  const there = new Set(rows.map(([name]) => name))
  return wanted.filter((name) => !there.has(name))
}

function named(kind: string, names: readonly string[]): string[] {
  if (names.length === 0) return []
  return [`${kind}${names.length === 1 ? '' : 's'} ${names.map((name) => `"${name}"`).join(', ')}`]
}
