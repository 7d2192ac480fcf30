import type { Connection } from '@securyflex/shared/config'
import { openConnection, type Scratch } from '@securyflex/shared/postgres'
import pg from 'pg'

/** What became of the properties of the database itself. */
export interface AppliedProperties {
  readonly applied: number
  /** What the server did not take, with its reason. The data is none the worse, so a person decides. */
  readonly refused: readonly { readonly statement: string; readonly why: string }[]
}

/**
 * Runs each of `statements`, which name the scratch database, in that itself: its encoding turns their text into
 * the bytes that the source had. The server keeps all of it by the database's number, so that it stays when the
 * database gets the name `name`, with which what was refused can be typed again.
 * @throws DATABASE_UNREACHABLE, CANCELLED
 */
export async function applyProperties(
  target: Connection,
  scratch: Scratch,
  statements: readonly string[],
  name: string,
): Promise<AppliedProperties> {
  const refused: { statement: string; why: string }[] = []
  const renamed = (statement: string) =>
    statement.replaceAll(pg.escapeIdentifier(scratch.name), () => pg.escapeIdentifier(name))
  if (statements.length === 0) return { applied: 0, refused }
  const client = await openConnection(target, {
    applicationName: 'securyflex-backup restore',
    signal: scratch.signal,
    database: scratch.name,
  })
  try {
    for (const statement of statements) {
      const why = statement.includes('\ufffd')
        ? 'its characters are not those of the encoding of the database'
        : await refusal(client, statement)
      if (why !== undefined) refused.push({ statement: renamed(statement), why })
    }
  } finally {
    await client.end()
  }
  return { applied: statements.length - refused.length, refused }
}

async function refusal(client: pg.Client, statement: string): Promise<string | undefined> {
  try {
    await client.query(statement)
    return undefined
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error.message
    throw error
  }
}
