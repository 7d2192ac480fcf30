import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { requireSource } from '@securyflex/shared/config'
import { dropDatabase } from '@securyflex/shared/postgres'
import pg from 'pg'
import { things } from '../fixtures/everything/index.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { administrationUrl } from '../helpers/postgres.ts'
import { type Restoration, roundTrip } from '../helpers/round-trip.ts'
import { type Witness, witnessOf } from '../helpers/witness.ts'

const minutes = 60_000
const roles = ['owner', 'reader', 'writer', 'superowner'] as const

let installation: Installation
let restored: string
let restoration: Restoration
let source: Witness
let copy: Witness

/** Settings that a person can give a database, and that make every session in it another one. */
const properties = [
  `COMMENT ON DATABASE @database IS 'it''s ours; é'`,
  `ALTER DATABASE @database CONNECTION LIMIT 40`,
  `ALTER DATABASE @database SET "DateStyle" TO 'SQL, DMY'`,
  `ALTER DATABASE @database SET bytea_output TO 'escape'`,
  `ALTER DATABASE @database SET search_path TO house, public, '"$user"'`,
  `ALTER DATABASE @database SET default_transaction_isolation TO 'serializable'`,
  `ALTER DATABASE @database SET default_transaction_read_only TO on`,
  `ALTER DATABASE @database SET extra_float_digits TO -3`,
  `ALTER DATABASE @database SET quote_all_identifiers TO on`,
  `ALTER DATABASE @database SET statement_timeout TO '90s'`,
  `ALTER DATABASE @database SET row_security TO off`,
  `ALTER ROLE @reader IN DATABASE @database SET work_mem TO '5MB'`,
  `REVOKE CONNECT, TEMPORARY ON DATABASE @database FROM PUBLIC`,
  `GRANT CONNECT ON DATABASE @database TO @reader WITH GRANT OPTION`,
  `SET SESSION AUTHORIZATION @reader; GRANT CONNECT ON DATABASE @database TO @writer; RESET SESSION AUTHORIZATION`,
  `ALTER DATABASE @database OWNER TO @owner`,
]

/** A role of this test's own, with a name that must be quoted. */
const roleName = (role: string) => `"role ${installation.database.name.slice(2)} ${role} ü"`

function named(sql: string): string {
  return sql
    .replaceAll('@database', installation.database.name)
    .replaceAll(/@(owner|reader|writer|superowner)\b/g, (_, role: string) => roleName(role))
}

async function administer(statements: readonly string[]): Promise<void> {
  const client = new pg.Client(await administrationUrl())
  await client.connect()
  for (const statement of statements) await client.query(named(statement))
  await client.end()
}

beforeAll(async () => {
  installation = await startInstallation({ BACKUP_FINGERPRINT: 'checksums' })
  const { database } = installation
  restored = `${database.name}_restored`
  await administer(roles.map((role) => `CREATE ROLE @${role} ${role === 'superowner' ? 'SUPERUSER' : ''}`))
  for (const { title, sql } of things) {
    await database.query(named(sql)).catch((cause: unknown) => {
      throw new Error(`could not make ${title}: ${String(cause)}`, { cause })
    })
  }
  await administer(properties)
  restoration = await roundTrip(installation, restored)
  source = await witnessOf(database, database.name)
  copy = await witnessOf(database, restored)
}, 5 * minutes)

afterAll(async () => {
  // Subscriptions keep a database from being dropped in the usual way.
  const { connection } = requireSource(installation.config)
  for (const name of [restored, installation.database.name]) {
    await administer([`ALTER DATABASE ${name} RESET ALL`])
    await dropDatabase(connection, name)
  }
  await installation[Symbol.asyncDispose]()
  await administer(roles.map((role) => `DROP ROLE @${role}`))
}, minutes)

describe('from backup to restore', () => {
  it.each(things)('$title come back as they were', async ({ queries }) => {
    for (const query of queries) {
      expect({ query, ...(await copy.rows(query)) }).toEqual({ query, ...(await source.rows(query)) })
    }
  })

  it('every definition comes back as pg_dump writes it, that of the database itself, too', async () => {
    expect(await copy.definitions({ create: true })).toBe(await source.definitions({ create: true }))
  })

  it('the product finds no difference either', () => {
    expect(restoration.comparison).toMatchObject({ differences: [], notes: [] })
    expect(restoration.comparison?.compared['tables']).toBeGreaterThan(50)
    expect(restoration.properties).toEqual({ applied: expect.any(Number), refused: [] })
    // The owner is given apart.
    expect(restoration.properties.applied).toBe(properties.length - 1)
  })
})
