import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { createDatabase, dropDatabase, type NewDatabase } from './database.ts'
import { conninfoDatabase } from './dump.ts'
import { libpqEnvironment } from './environment.ts'
import { explainRestore } from './tool-errors.ts'
import { startTool, type Tool } from './tool.ts'
import type { Tools } from './tools.ts'

/** What to leave out of a restore. */
export interface RestoreOptions {
  /** Without owners and privileges, everything belongs to the role that restores. Default: with them. */
  readonly owners?: boolean
}

/**
 * Restores `source`, an archive of pg_dump, into the new database `name`; when anything fails, or the signal
 * aborts, the database is dropped again.
 *
 * @throws what `createDatabase` and `restoreArchive` throw.
 */
export async function restoreIntoNewDatabase(
  tools: Tools,
  connection: Connection,
  name: string,
  shape: NewDatabase,
  source: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
  options: RestoreOptions = {},
): Promise<void> {
  await createDatabase(connection, name, shape)
  try {
    await restoreArchive(tools, connection, name, source, signal, options)
  } catch (error) {
    await dropDatabase(connection, name).catch((failure: unknown) => {
      throw new BackupError(
        'RESTORE_FAILED',
        `The restore failed, and its half-filled database "${name}" could not be dropped.`,
        {
          hint: `Drop it by hand: DROP DATABASE "${name}";`,
          cause: new AggregateError([error, failure]),
        },
      )
    })
    throw error
  }
}

/**
 * Streams `source` into pg_restore, which stops at its first error. An error of `source` (a segment that was
 * tampered with) stops pg_restore and is thrown as it is; otherwise pg_restore's own error is. The database
 * is left as it then is: it is the caller's to drop.
 *
 * `tools` must be at least as new as the pg_dump that made the archive.
 *
 * @throws RESTORE_FAILED, STREAM_DAMAGED, TOOL_TOO_OLD, CANCELLED, or the error of `source`.
 */
export async function restoreArchive(
  tools: Tools,
  connection: Connection,
  database: string,
  source: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
  { owners = true }: RestoreOptions = {},
): Promise<void> {
  const stop = new AbortController()
  const tool = startTool(tools.pg_restore, restoreArguments(database, owners), {
    env: { PGAPPNAME: 'securyflex-backup restore', ...libpqEnvironment({ ...connection, database }) },
    signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
    stdin: true,
    failureCode: 'RESTORE_FAILED',
    explain: explainRestore('pg_restore'),
  })
  // It writes nothing there; its pipe must be at its end all the same before it counts as done.
  tool.stdout.resume()
  await feed(tool, source, stop)
}

function restoreArguments(database: string, owners: boolean): string[] {
  const args = [
    '--format=custom',
    '--exit-on-error',
    '--no-password',
    `--dbname=${conninfoDatabase(database)}`,
  ]
  return owners ? args : [...args, '--no-owner', '--no-privileges']
}

/** Whose error it is: the source's before the tool's, the tool's before that of the pipe between them. */
async function feed(tool: Tool, source: AsyncIterable<Uint8Array>, stop: AbortController): Promise<void> {
  const broken: { by?: { error: unknown } } = {}
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* source
    } catch (error) {
      broken.by = { error }
      stop.abort(error)
      throw error
    }
  }
  const fed = pipeline(watched(), tool.stdin as Writable, { signal: stop.signal })
  // Its error is looked at below, after the tool's.
  fed.catch(() => undefined)
  try {
    await tool.done
  } catch (error) {
    stop.abort(error)
    throw broken.by === undefined ? error : broken.by.error
  }
  await fed.catch((cause: unknown) => {
    throw new BackupError('RESTORE_FAILED', 'pg_restore ended before it had read the whole archive.', {
      cause,
    })
  })
}
