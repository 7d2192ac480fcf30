import type pg from 'pg'
import { oneRow } from './rows.ts'

/** What is to be known of a server and the database that a connection is in. */
export interface ServerFacts {
  /** `server_version_num`, e.g. 150018. */
  readonly versionNumber: number
  readonly major: number
  /** As the server names itself, e.g. `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly version: string
  /** Names the cluster for its lifetime; undefined where the role may not ask for it. */
  readonly systemIdentifier: string | undefined
  readonly database: string
  /** E.g. `UTF8`. */
  readonly encoding: string
  /** `LC_COLLATE` of the database. */
  readonly collation: string
  readonly sizeBytes: number
  /** A standby, or a server that is being recovered. */
  readonly inRecovery: boolean
  /** The role of this connection. */
  readonly user: string
}

/** Facts of the server and of the current database; changes nothing. */
export async function serverFacts(client: pg.Client): Promise<ServerFacts> {
  const row = await oneRow<{
    number: number
    version: string
    database: string
    encoding: string
    collation: string
    size: string
    recovery: boolean
    user: string
    may_identify: boolean
  }>(
    client,
    `SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
            d.datname AS database, pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collation,
            pg_database_size(d.oid) AS size, pg_is_in_recovery() AS recovery, current_user AS user,
            has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_identify
       FROM pg_catalog.pg_database d WHERE d.datname = current_database()`,
  )
  versions.set(client, row.number)
  return {
    versionNumber: row.number,
    major: majorOf(row.number),
    version: row.version,
    systemIdentifier: row.may_identify ? await systemIdentifier(client) : undefined,
    database: row.database,
    encoding: row.encoding,
    collation: row.collation,
    sizeBytes: Number(row.size),
    inRecovery: row.recovery,
    user: row.user,
  }
}

async function systemIdentifier(client: pg.Client): Promise<string> {
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

/** What a connection's server said; it is asked once. */
const versions = new WeakMap<pg.Client, number>()

/** `server_version_num` of the connection, e.g. 150018. */
export async function versionNumber(client: pg.Client): Promise<number> {
  const known = versions.get(client)
  if (known !== undefined) return known
  const { number } = await oneRow<{ number: number }>(
    client,
    `SELECT current_setting('server_version_num')::int AS number`,
  )
  versions.set(client, number)
  return number
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
