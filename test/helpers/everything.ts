import { requireSource } from '@securyflex/shared/config'
import { dropDatabase } from '@securyflex/shared/postgres'
import pg from 'pg'
import { settingsOf, thingsOf } from '../fixtures/everything/index.ts'
import { startInstallation } from './installation.ts'
import { type Major, type MajorServer, startMajor } from './majors.ts'
import { type Access, administrationUrl } from './postgres.ts'
import { backUp, type Restoration, restoreLatest } from './round-trip.ts'
import { type Witness, witnessOf } from './witness.ts'

const roles = ['owner', 'reader', 'writer', 'superowner'] as const

/** A source that holds everything, the copy that a restore made of its backup, and who tells of both. */
export interface Trial extends AsyncDisposable {
  readonly restoration: Restoration
  readonly source: Witness
  readonly copy: Witness
}

/** Backs up everything that a server of `major` can hold, and restores it there, or into a server of `into`. */
export async function tryEverything(major: Major, into: Major = major): Promise<Trial> {
  await using made = new AsyncDisposableStack()
  const server = made.use(await startMajor(major))
  const target = into === major ? server : made.use(await startMajor(into))
  const settings = { BACKUP_FINGERPRINT: 'checksums', BACKUP_PG_BIN_DIR: server.programs }
  const installation = made.use(await startInstallation(settings, server.access))
  const { database } = installation
  const restored = `${database.name}_restored`
  // Subscriptions keep a database from being dropped in the usual way.
  made.defer(async () => {
    await administer(server, database.name, [`ALTER DATABASE @database RESET ALL`])
    await dropDatabase(requireSource(installation.config).connection, database.name)
  })
  for (const one of new Set([server, target])) await administer(one, database.name, roles.map(creation))
  for (const { title, sql } of thingsOf(major)) {
    await database.query(named(database.name, sql)).catch((cause: unknown) => {
      throw new Error(`could not make ${title}: ${String(cause)}`, { cause })
    })
  }
  await administer(server, database.name, settingsOf(major))
  await backUp(installation)
  const env = { ...installation.env, BACKUP_PG_BIN_DIR: target.programs }
  const elsewhere = into === major ? [] : ['--target-url', await administrationUrl(target.access)]
  const restoration = await restoreLatest({ env }, restored, ...elsewhere)
  const witness = (access: Access, name: string) => witnessOf(access, name, 'UTF8', target.programs)
  const source = await witness(server.access, database.name)
  const copy = await witness(target.access, restored)
  const all = made.move()
  return { restoration, source, copy, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

function creation(role: string): string {
  return `CREATE ROLE @${role} ${role === 'superowner' ? 'SUPERUSER' : ''}`
}

/** Puts roles with a name that must be quoted, and the database, in the places of their names. */
function named(database: string, sql: string): string {
  return sql
    .replaceAll('@database', database)
    .replaceAll(/@(owner|reader|writer|superowner)\b/g, (_, role: string) => `"role ${role} ü"`)
}

async function administer(
  { access }: MajorServer,
  database: string,
  statements: readonly string[],
): Promise<void> {
  const client = new pg.Client(await administrationUrl(access))
  await client.connect()
  for (const statement of statements) await client.query(named(database, statement))
  await client.end()
}
