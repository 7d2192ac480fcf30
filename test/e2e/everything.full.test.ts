import { afterAll, beforeAll, describe, expect } from '@jest/globals'
import { requireSource } from '@securyflex/shared/config'
import { dropDatabase } from '@securyflex/shared/postgres'
import pg from 'pg'
import { settingsOf, thingsOf } from '../fixtures/everything/index.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { isThere, type Major, startMajor, testWith } from '../helpers/majors.ts'
import { administrationUrl } from '../helpers/postgres.ts'
import { type Restoration, roundTrip } from '../helpers/round-trip.ts'
import { type Witness, witnessOf } from '../helpers/witness.ts'

const minutes = 60_000
const roles = ['owner', 'reader', 'writer', 'superowner'] as const

/** One installation whose source holds everything, the restored copy, and who tells of both. */
interface Trial extends AsyncDisposable {
  readonly restoration: Restoration
  readonly source: Witness
  readonly copy: Witness
}

async function trialOn(major: Major): Promise<Trial> {
  await using made = new AsyncDisposableStack()
  const server = made.use(await startMajor(major))
  const settings = { BACKUP_FINGERPRINT: 'checksums', BACKUP_PG_BIN_DIR: server.programs }
  const installation = made.use(await startInstallation(settings, server.access))
  const { database } = installation
  const restored = `${database.name}_restored`
  const administer = await administratorOf(installation)
  // Subscriptions keep a database from being dropped in the usual way.
  made.defer(async () => {
    await administer([`ALTER DATABASE @database RESET ALL`])
    await dropDatabase(requireSource(installation.config).connection, database.name)
  })
  await administer(roles.map((role) => `CREATE ROLE @${role} ${role === 'superowner' ? 'SUPERUSER' : ''}`))
  for (const { title, sql } of thingsOf(major)) {
    await database.query(named(installation, sql)).catch((cause: unknown) => {
      throw new Error(`could not make ${title}: ${String(cause)}`, { cause })
    })
  }
  await administer(settingsOf(major))
  const restoration = await roundTrip(installation, restored)
  const source = await witnessOf(database, database.name, 'UTF8', server.programs)
  const copy = await witnessOf(database, restored, 'UTF8', server.programs)
  const all = made.move()
  return { restoration, source, copy, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/** Puts this test's own roles, with a name that must be quoted, and its database in the places of their names. */
function named({ database }: Installation, sql: string): string {
  return sql
    .replaceAll('@database', database.name)
    .replaceAll(/@(owner|reader|writer|superowner)\b/g, (_, role: string) => `"role ${role} ü"`)
}

async function administratorOf(
  installation: Installation,
): Promise<(statements: readonly string[]) => Promise<void>> {
  const url = await administrationUrl(installation.database)
  return async (statements) => {
    const client = new pg.Client(url)
    await client.connect()
    for (const statement of statements) await client.query(named(installation, statement))
    await client.end()
  }
}

describe.each([15, 17, 18] as const)('from backup to restore on PostgreSQL %i', (major) => {
  const test = testWith(major)
  let trial: Trial

  if (isThere(major)) {
    beforeAll(async () => {
      trial = await trialOn(major)
    }, 5 * minutes)
    afterAll(async () => {
      await trial[Symbol.asyncDispose]()
    }, minutes)
  }

  for (const { title, queries } of thingsOf(major)) {
    test(`${title} come back as they were`, async () => {
      const { copy, source } = trial
      for (const query of queries) {
        expect({ query, ...(await copy.rows(query)) }).toEqual({ query, ...(await source.rows(query)) })
      }
    })
  }

  test('every definition comes back as pg_dump writes it, that of the database itself, too', async () => {
    const { copy, source } = trial
    expect(await copy.definitions({ create: true })).toBe(await source.definitions({ create: true }))
  })

  test('the product finds no difference either', () => {
    const { comparison, properties } = trial.restoration
    expect(comparison).toMatchObject({ differences: [], notes: [] })
    expect(comparison?.compared['tables']).toBeGreaterThan(50)
    // The owner is given apart.
    expect(properties).toEqual({ applied: settingsOf(major).length - 1, refused: [] })
  })
})
