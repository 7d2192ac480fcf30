import { basename } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { openConnection } from './connect.ts'
import { createDatabase, dropDatabase, type NewDatabase } from './database.ts'
import { conninfoDatabase } from './dump.ts'
import { libpqEnvironment } from './environment.ts'
import { versionNumber } from './server-facts.ts'
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
  const target = { ...connection, database }
  const restore = (await needsScript(tools, target, signal)) ? restoreThroughScript : restoreDirectly
  await restore({ tools, target, source, signal, owners })
}

/**
 * pg_restore 17 and newer begins with `SET transaction_timeout`, which older servers refuse; it offers
 * no way to leave that out.
 */
async function needsScript(
  tools: Tools,
  target: Connection,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (tools.major < 17) return false
  const client = await openConnection(target, {
    applicationName,
    ...(signal === undefined ? {} : { signal }),
  })
  try {
    return (await versionNumber(client)) < 170_000
  } finally {
    await client.end()
  }
}

interface Restore {
  readonly tools: Tools
  readonly target: Connection
  readonly source: AsyncIterable<Uint8Array>
  readonly signal: AbortSignal | undefined
  readonly owners: boolean
}

async function restoreDirectly({ tools, target, source, signal, owners }: Restore): Promise<void> {
  const { tool, stop } = start(
    tools.pg_restore,
    [...archiveOptions(owners), `--dbname=${conninfoDatabase(target.database)}`],
    target,
    signal,
  )
  // It writes nothing there; its pipe must be at its end all the same before it counts as done.
  tool.stdout.resume()
  await feed(tool, source, stop)
}

/** pg_restore writes SQL, its first lines are mended, psql of the same version runs it. */
async function restoreThroughScript({ tools, target, source, signal, owners }: Restore): Promise<void> {
  const writer = start(tools.pg_restore, [...archiveOptions(owners), '--file=-'], target, signal)
  const runner = start(
    tools.psql,
    ['--no-psqlrc', '--quiet', '--no-password', '--set=ON_ERROR_STOP=1', '--file=-'],
    target,
    signal,
  )
  runner.tool.stdout.resume()
  const script = withoutTransactionTimeout(writer.tool.stdout)
  const [written, ran] = await Promise.allSettled([
    feed(writer.tool, source, writer.stop),
    feed(runner.tool, script, runner.stop),
  ])
  const writerFailure: unknown = await writer.tool.done.then(
    () => undefined,
    (error: unknown) => error,
  )
  // When psql fails, pg_restore fails because of it; when pg_restore fails, psql was stopped because of it.
  if (ran.status === 'rejected' && ran.reason !== writerFailure) throw ran.reason
  if (written.status === 'rejected') throw written.reason
}

const applicationName = 'securyflex-backup restore'

function archiveOptions(owners: boolean): string[] {
  const options = ['--format=custom', '--exit-on-error', '--no-password']
  return owners ? options : [...options, '--no-owner', '--no-privileges']
}

interface Started {
  readonly tool: Tool
  readonly stop: AbortController
}

function start(
  path: string,
  args: readonly string[],
  target: Connection,
  signal: AbortSignal | undefined,
): Started {
  const stop = new AbortController()
  const tool = startTool(path, args, {
    env: { PGAPPNAME: applicationName, ...libpqEnvironment(target) },
    signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
    stdin: true,
    failureCode: 'RESTORE_FAILED',
    explain: explainRestore(basename(path)),
  })
  return { tool, stop }
}

/** Whose error it is: the source's before the tool's, the tool's before that of the pipe between them. */
async function feed(
  { done, stdin }: Tool,
  source: AsyncIterable<Uint8Array>,
  stop: AbortController,
): Promise<void> {
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
  const fed = pipeline(watched(), stdin as Writable, { signal: stop.signal })
  // Its error is looked at below, after the tool's.
  fed.catch(() => undefined)
  try {
    await done
  } catch (error) {
    stop.abort(error)
    throw broken.by === undefined ? error : broken.by.error
  }
  await fed.catch((cause: unknown) => {
    throw new BackupError('RESTORE_FAILED', 'The restore ended before the whole archive was read.', { cause })
  })
}

const unknownSetting = '\nSET transaction_timeout = 0;\n'
/** The settings stand in the first lines of a script. */
const headerLength = 8 * 1024

async function* withoutTransactionTimeout(script: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let header: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of script) {
    if (header === undefined) {
      yield chunk
      continue
    }
    header = Buffer.concat([header, chunk])
    if (header.length < headerLength) continue
    yield mended(header)
    header = undefined
  }
  if (header !== undefined) yield mended(header)
}

function mended(header: Buffer): Buffer {
  const at = header.indexOf(unknownSetting)
  return at < 0 || at > headerLength
    ? header
    : Buffer.concat([header.subarray(0, at + 1), header.subarray(at + unknownSetting.length)])
}
