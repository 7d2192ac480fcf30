import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { clusterSocket } from '../run/shared-cluster.ts'

/** An empty database of one test's own in the PostgreSQL that the whole run shares. */
export interface TestDatabase extends AsyncDisposable {
  /** postgresql://user:password@127.0.0.1:port/name, the owner being a superuser */
  readonly url: string
  readonly name: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** Runs one statement on a connection of its own. */
  query(sql: string, values?: readonly unknown[]): Promise<pg.QueryResult<Record<string, unknown>>>
  /** Removes it, whoever is still connected. */
  drop(): Promise<void>
}

/** Where a server is, and as which superuser to enter it. */
export interface Access {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
}

/**
 * Creates a database, on the shared server unless another is named; the first call of a run starts that one, which takes
 * about two seconds.
 */
export async function createDatabase(on?: Access): Promise<TestDatabase> {
  const access = on ?? (await sharedCluster())
  const name = `t_${randomBytes(6).toString('hex')}`
  await queryIn(access, 'postgres', `create database ${name} template template0`)
  const drop = async (): Promise<void> => {
    await queryIn(access, 'postgres', `drop database if exists ${name} with (force)`)
  }
  const query: TestDatabase['query'] = (sql, values) => queryIn(access, name, sql, values)
  return { ...access, name, url: urlOf(access, name), query, drop, [Symbol.asyncDispose]: drop }
}

/** Connection string of a server's own `postgres` database, for what belongs to no database: roles, tablespaces. */
export async function administrationUrl(on?: Access): Promise<string> {
  return urlOf(on ?? (await sharedCluster()), 'postgres')
}

async function sharedCluster(): Promise<Access> {
  const directory = process.env['SECURYFLEX_TEST_DIR']
  if (directory === undefined) throw new Error('Outside of jest there is no shared PostgreSQL.')
  const answer = JSON.parse(await text(connect(clusterSocket(directory)))) as Access | { error: string }
  if ('error' in answer) throw new Error(answer.error)
  return answer
}

function urlOf({ host, port, user, password }: Access, database: string): string {
  return `postgresql://${user}:${password}@${host}:${String(port)}/${database}`
}

async function queryIn(
  { host, port, user, password }: Access,
  database: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<pg.QueryResult<Record<string, unknown>>> {
  const client = new pg.Client({ host, port, user, password, database })
  await client.connect()
  try {
    return await client.query<Record<string, unknown>>(sql, [...values])
  } finally {
    await client.end()
  }
}
