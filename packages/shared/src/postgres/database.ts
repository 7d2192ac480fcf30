import type { Connection } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import pg from 'pg'
import { openConnection } from './connect.ts'
import type { DatabaseShape } from './fingerprint/fingerprint.ts'
import { allRows } from './rows.ts'
import { versionNumber } from './server-facts.ts'

const { DatabaseError, escapeIdentifier, escapeLiteral } = pg

/** Bytes of a name; the server silently cuts longer ones (NAMEDATALEN). */
const longestName = 63

/** How a new database is to be; what is left out is the server's default. */
export interface NewDatabase extends Partial<Omit<DatabaseShape, 'name' | 'owner'>> {
  /** Where it lies. */
  readonly tablespace?: string
}

/**
 * Creates the empty database `name` on the server of `connection`, from template0 and with the encoding
 * and locale of `shape`: text sorts as it did, and every byte of a dump fits.
 *
 * @throws USAGE for an impossible name, DATABASE_EXISTS, DATABASE_REFUSED.
 */
export async function createDatabase(
  connection: Connection,
  name: string,
  shape: NewDatabase = {},
): Promise<void> {
  refuseImpossibleName(name)
  await maintain(connection, name, async (client) => {
    const version = await versionNumber(client)
    try {
      await client.query(creation(name, shape, version))
    } catch (error) {
      throw explainCreation(error, name, client.user ?? connection.user)
    }
  })
}

/** @throws USAGE */
export function refuseImpossibleName(name: string): void {
  const bytes = Buffer.byteLength(name)
  if (bytes > 0 && bytes <= longestName && !name.includes('\0')) return
  throw new BackupError(
    'USAGE',
    `"${name}" cannot be the name of a database: it has ${String(bytes)} bytes.`,
    {
      hint: `Choose a name of 1 to ${String(longestName)} bytes.`,
    },
  )
}

/** CREATE DATABASE of each version: providers since 15, ICU rules since 16, `builtin` since 17. */
function creation(name: string, shape: NewDatabase, version: number): string {
  const parts = [`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0`]
  const add = (keyword: string, value: string | null | undefined) => {
    if (value !== undefined && value !== null) parts.push(`${keyword} ${escapeLiteral(value)}`)
  }
  add('ENCODING', shape.encoding)
  add('LC_COLLATE', shape.collate)
  add('LC_CTYPE', shape.characterType)
  if (version >= 150_000 && shape.localeProvider !== undefined) {
    parts.push(`LOCALE_PROVIDER ${shape.localeProvider}`)
    if (shape.localeProvider === 'icu') add('ICU_LOCALE', shape.locale)
    if (shape.localeProvider === 'builtin') add('BUILTIN_LOCALE', shape.locale)
    if (version >= 160_000 && shape.localeProvider === 'icu') add('ICU_RULES', shape.icuRules)
  }
  if (shape.tablespace !== undefined) parts.push(`TABLESPACE ${escapeIdentifier(shape.tablespace)}`)
  return parts.join(' ')
}

function explainCreation(error: unknown, name: string, user: string): BackupError {
  const said = error instanceof Error ? error.message : String(error)
  const state = error instanceof DatabaseError ? error.code : undefined
  const refused = (code: 'DATABASE_EXISTS' | 'DATABASE_REFUSED', message: string, hint: string) =>
    new BackupError(code, message, { hint, cause: error })
  if (state === '42P04') {
    return refused(
      'DATABASE_EXISTS',
      `The database "${name}" exists already.`,
      'Choose another name with --to; nothing was changed.',
    )
  }
  if (state === '42501') {
    return refused(
      'DATABASE_REFUSED',
      `The role "${user}" may not create a database.`,
      `Type as a superuser: ALTER ROLE ${escapeIdentifier(user)} CREATEDB;`,
    )
  }
  if (/locale|collation|provider|encoding/i.test(said)) {
    return refused(
      'DATABASE_REFUSED',
      `The server cannot create a database with the locale of the source: ${said}.`,
      'Install that locale on the server (Debian: dpkg-reconfigure locales) and restart PostgreSQL.',
    )
  }
  return new BackupError(
    state === undefined ? 'DATABASE_UNREACHABLE' : 'DATABASE_REFUSED',
    `The database "${name}" could not be created: ${said}.`,
    {
      hint: "Look into the server's log.",
      cause: error,
    },
  )
}

/**
 * Takes back a restore into the database `name` that failed with `error`: drops it, and throws `error` again.
 *
 * @throws RESTORE_FAILED, telling of both, if it cannot be dropped.
 */
export async function dropAfter(error: unknown, connection: Connection, name: string): Promise<never> {
  await dropDatabase(connection, name).catch((failure: unknown) => {
    const said = [error, failure].map((one) => asBackupError(one).message)
    throw new BackupError(
      'RESTORE_FAILED',
      `The restore failed, and its database "${name}" could not be dropped: ${said.join(' ')}`,
      {
        hint: `Drop it by hand: DROP DATABASE ${escapeIdentifier(name)};`,
        cause: new AggregateError([error, failure]),
      },
    )
  })
  throw error
}

/** Drops the database `name`, one of this product's making, if it is there, ending the sessions in it. */
export async function dropDatabase(connection: Connection, name: string): Promise<void> {
  await maintain(connection, name, async (client) => {
    await dropSubscriptions(connection, name, client)
    await endTemplate(name, client)
    if ((await versionNumber(client)) >= 130_000) {
      await client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`)
      return
    }
    await allRows(
      client,
      'SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = $1',
      [name],
    )
    await client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)}`)
  }).catch((error: unknown) => {
    if (error instanceof BackupError) throw error
    const said = error instanceof Error ? error.message : String(error)
    throw new BackupError('DATABASE_REFUSED', `The database "${name}" could not be dropped: ${said}.`, {
      hint: `Drop it by hand: DROP DATABASE ${escapeIdentifier(name)};`,
      cause: error,
    })
  })
}

/**
 * The server drops no database that has subscriptions. A restored one has those of its source, disabled and
 * with the names of the source's slots at the publisher, which must stay there: they are let go of first.
 */
async function dropSubscriptions(
  connection: Connection,
  name: string,
  maintenance: pg.Client,
): Promise<void> {
  const subscriptions = await allRows<{ name: string }>(
    maintenance,
    `SELECT s.subname AS name FROM pg_catalog.pg_subscription s
       JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1`,
    [name],
  )
  if (subscriptions.length === 0) return
  const client = await openConnection(connection, { applicationName: 'securyflex-backup', database: name })
  try {
    for (const subscription of subscriptions.map((one) => escapeIdentifier(one.name))) {
      await client.query(`ALTER SUBSCRIPTION ${subscription} DISABLE`)
      await client.query(`ALTER SUBSCRIPTION ${subscription} SET (slot_name = NONE)`)
      await client.query(`DROP SUBSCRIPTION ${subscription}`)
    }
  } finally {
    await client.end()
  }
}

/** The server drops no template; a restored database is one where its source was. */
async function endTemplate(name: string, maintenance: pg.Client): Promise<void> {
  const { rowCount } = await maintenance.query(
    'SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND datistemplate',
    [name],
  )
  if (rowCount === 0) return
  await maintenance.query(`ALTER DATABASE ${escapeIdentifier(name)} IS_TEMPLATE false`)
}

/** A database is created and dropped from another one: `postgres`, else that of the connection. */
async function maintain(
  connection: Connection,
  name: string,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = await openMaintenance(connection, name)
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

async function openMaintenance(connection: Connection, name: string): Promise<pg.Client> {
  const places = ['postgres', connection.database, 'template1'].filter((place) => place !== name)
  let failure: unknown
  for (const database of places) {
    try {
      return await openConnection(connection, { applicationName: 'securyflex-backup', database })
    } catch (error) {
      if (!(error instanceof BackupError && error.code === 'DATABASE_REFUSED')) throw error
      failure ??= error
    }
  }
  throw failure
}
