import { randomBytes } from 'node:crypto'
import type { Connection } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import {
  findTools,
  openConnection,
  proposeBackupRole,
  databaseSize,
  refusePooler,
  refuseUnreadable,
  serverFacts,
} from '@securyflex/shared/postgres'
import { reworded } from './reworded.ts'

/** What a backup would meet at a database. */
export interface TriedDatabase {
  /** E.g. `15.18`. */
  readonly server: string
  /** Of the client tools; undefined if none fit. */
  readonly tools: string | undefined
  readonly toolDirectory: string | undefined
  readonly sizeBytes: number
  readonly role: string
  readonly superuser: boolean
  /** What a superuser types for a role that may do this and no more. */
  readonly sql: readonly string[]
  /** Why a backup would fail. */
  readonly problem: BackupError | undefined
}

/**
 * Connects as a backup does, and looks for what would fail; changes nothing.
 * @throws DATABASE_UNREACHABLE, DATABASE_REFUSED, POOLER_REFUSED if it does not come that far
 */
export async function tryDatabase(
  connection: Connection,
  binDirectory: string | undefined,
): Promise<TriedDatabase> {
  const open = () => openConnection(connection, { applicationName: 'securyflex-backup check' })
  const client = await open().catch((error: unknown) => {
    throw reworded(error, { DATABASE_URL: 'the connection string' })
  })
  try {
    await refusePooler(client, open)
    const facts = await serverFacts(client)
    const tools = await attempt(() => findTools(facts.major, binDirectory))
    const { superuser, sql } = await proposeBackupRole(client, randomBytes(18).toString('base64url'))
    const readable = await attempt(() => refuseUnreadable(client))
    const problem = [tools, readable].find((one) => one instanceof BackupError)
    const found = tools instanceof BackupError ? undefined : tools
    return {
      server: facts.version.split(' ')[0] ?? facts.version,
      tools: found?.version,
      toolDirectory: found?.directory,
      sizeBytes: await databaseSize(client),
      role: facts.user,
      superuser,
      sql,
      problem: problem instanceof BackupError ? problem : undefined,
    }
  } finally {
    await client.end()
  }
}

/** What work comes to, an error of ours being one of its results. */
async function attempt<T>(work: () => Promise<T>): Promise<T | BackupError> {
  try {
    return await work()
  } catch (error) {
    return asBackupError(error)
  }
}
