import type pg from 'pg'
import { oneRow } from './rows.ts'

/** What a connection says of itself, asked for once, at its beginning. */
export interface Answer {
  /** Id of the server's process that answers. */
  readonly process: number
  /** `server_version_num`, e.g. 150018. */
  readonly versionNumber: number
  /** As the server names itself, e.g. `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly version: string
  readonly database: string
  /** A standby, or a server that is being recovered. */
  readonly inRecovery: boolean
  /** The role of this connection. */
  readonly user: string
  readonly superuser: boolean
}

/** What is to be known of a server and the database that a connection is in. */
export interface ServerFacts extends Answer {
  readonly major: number
  /** Names the cluster for its lifetime; undefined where the role may not ask for it. */
  readonly systemIdentifier: string | undefined
}

const answers = new WeakMap<pg.Client, Answer>()

/** What `client` says of itself; its role must stay as it is. */
export async function answerOf(client: pg.Client): Promise<Answer> {
  const known = answers.get(client)
  if (known !== undefined) return known
  // All in one, and read from no catalog, which a session that has just begun would have to get acquainted with.
  const answer = await oneRow<Answer>(
    client,
    `SELECT pg_backend_pid() AS process, current_setting('server_version_num')::int AS "versionNumber",
            current_setting('server_version') AS version, current_database() AS database,
            pg_is_in_recovery() AS "inRecovery", current_user AS user, current_setting('is_superuser') = 'on' AS superuser`,
  )
  answers.set(client, answer)
  return answer
}

/** Facts of the server and of the current database; changes nothing. */
export async function serverFacts(client: pg.Client): Promise<ServerFacts> {
  const answer = await answerOf(client)
  const systemIdentifier = (await mayIdentify(client, answer)) ? await identify(client) : undefined
  return { ...answer, major: majorOf(answer.versionNumber), systemIdentifier }
}

async function mayIdentify(client: pg.Client, { superuser }: Answer): Promise<boolean> {
  if (superuser) return true
  const { may } = await oneRow<{ may: boolean }>(
    client,
    `SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may`,
  )
  return may
}

/** Bytes of the database that a connection is in, indexes and free space included. */
export async function databaseSize(client: pg.Client): Promise<number> {
  const { size } = await oneRow<{ size: string }>(
    client,
    'SELECT pg_database_size(current_database()) AS size',
  )
  return Number(size)
}

async function identify(client: pg.Client): Promise<string> {
  const { id } = await oneRow<{ id: string }>(
    client,
    'SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()',
  )
  return id
}

/** 15 of 150018; from version 10 on the major is one number. */
function majorOf(versionNumber: number): number {
  return Math.floor(versionNumber / 10_000)
}

/** `server_version_num` of the connection, e.g. 150018. */
export async function versionNumber(client: pg.Client): Promise<number> {
  return (await answerOf(client)).versionNumber
}

/** Whether the role of this connection may create a database, e.g. to restore into. */
export async function mayCreateDatabase(client: pg.Client): Promise<boolean> {
  const { may } = await oneRow<{ may: boolean }>(
    client,
    `SELECT (rolcreatedb OR rolsuper) AND NOT pg_is_in_recovery() AS may
       FROM pg_catalog.pg_roles WHERE rolname = current_user`,
  )
  return may
}
