import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { openConnection } from './connect.ts'
import { createDatabase, dropAfter, type NewDatabase } from './database.ts'
import { conninfoDatabase } from './dump.ts'
import { applicationName, feed, startRestoring } from './feed.ts'
import { versionNumber } from './server-facts.ts'
import type { Tools } from './tools.ts'
import { withoutTransactionTimeout } from './transaction-timeout.ts'

/** An archive: bytes that are streamed into pg_restore, or a file or directory that it reads itself. */
export type ArchiveInput = AsyncIterable<Uint8Array> | { readonly path: string }

/** The forms of pg_dump's archives. */
export type ArchiveFormat = 'custom' | 'tar' | 'directory'

/** How to restore, and what to leave out. */
export interface RestoreOptions {
  /** Without owners and privileges, everything belongs to the role that restores. Default: with them. */
  readonly owners?: boolean
  /** Default: `custom`. */
  readonly format?: ArchiveFormat
  /** Connections that load at a time; more than one needs an archive with a path, and not `tar`. Default: 1. */
  readonly jobs?: number
  /** Told the statement that newer tools write and the server would refuse: it is left out. */
  readonly onLeftOut?: (statement: string) => void
}

/**
 * Creates the database `name` and lets `fill` fill it; when that fails the database is dropped again.
 *
 * @throws what `createDatabase` and `fill` throw; RESTORE_FAILED if the database cannot be dropped.
 */
export async function intoNewDatabase(
  connection: Connection,
  name: string,
  shape: NewDatabase,
  fill: () => Promise<void>,
): Promise<void> {
  await createDatabase(connection, name, shape)
  try {
    await fill()
  } catch (error) {
    return await dropAfter(error, connection, name)
  }
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
  source: ArchiveInput,
  signal?: AbortSignal,
  options: RestoreOptions = {},
): Promise<void> {
  await intoNewDatabase(connection, name, shape, () =>
    restoreArchive(tools, connection, name, source, signal, options),
  )
}

/**
 * Hands `source` to pg_restore, which stops at its first error. An error of `source` (a segment that was
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
  source: ArchiveInput,
  signal?: AbortSignal,
  { owners = true, format = 'custom', jobs = 1, onLeftOut }: RestoreOptions = {},
): Promise<void> {
  const target = { ...connection, database }
  const restore = (await needsScript(tools, target, signal)) ? restoreThroughScript : restoreDirectly
  await restore({ tools, target, source, signal, owners, format, jobs, onLeftOut })
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
  readonly source: ArchiveInput
  readonly signal: AbortSignal | undefined
  readonly owners: boolean
  readonly format: ArchiveFormat
  readonly jobs: number
  readonly onLeftOut: RestoreOptions['onLeftOut']
}

async function restoreDirectly(restore: Restore): Promise<void> {
  const { tools, target, source, signal, jobs } = restore
  const parallel = jobs > 1 ? [`--jobs=${jobs}`] : []
  const database = `--dbname=${conninfoDatabase(target.database)}`
  const started = startRestoring(
    tools.pg_restore,
    [...archiveOptions(restore), ...parallel, database, ...pathOf(source)],
    target,
    signal,
    !('path' in source),
  )
  // It writes nothing there; its pipe must be at its end all the same before it counts as done.
  started.tool.stdout.resume()
  await ('path' in source ? started.tool.done : feed(started, source, { wholly: false }))
}

/** pg_restore writes SQL, its first lines are mended, psql of the same version runs it. */
async function restoreThroughScript(restore: Restore): Promise<void> {
  const { tools, target, source, signal, jobs, onLeftOut } = restore
  if (jobs > 1) {
    throw new BackupError(
      'USAGE',
      `pg_restore ${tools.version} cannot restore into a server before 17 with several jobs.`,
      { hint: 'Leave --jobs out.' },
    )
  }
  const writer = startRestoring(
    tools.pg_restore,
    [...archiveOptions(restore), '--file=-', ...pathOf(source)],
    target,
    signal,
    !('path' in source),
  )
  const runner = startRestoring(
    tools.psql,
    ['--no-psqlrc', '--quiet', '--no-password', '--set=ON_ERROR_STOP=1', '--file=-'],
    target,
    signal,
  )
  runner.tool.stdout.resume()
  const script = withoutTransactionTimeout(writer.tool.stdout, onLeftOut)
  const [written, ran] = await Promise.allSettled([
    'path' in source ? writer.tool.done : feed(writer, source, { wholly: false }),
    feed(runner, script, { wholly: true }),
  ])
  const writerFailure: unknown = await writer.tool.done.then(
    () => undefined,
    (error: unknown) => error,
  )
  // When psql fails, pg_restore fails because of it; when pg_restore fails, psql was stopped because of it.
  if (ran.status === 'rejected' && ran.reason !== writerFailure) throw ran.reason
  if (written.status === 'rejected') throw written.reason
}

function archiveOptions({ owners, format }: Restore): string[] {
  const options = [`--format=${format}`, '--exit-on-error', '--no-password']
  return owners ? options : [...options, '--no-owner', '--no-privileges']
}

/** A path that begins with a dash is no option. */
function pathOf(source: ArchiveInput): string[] {
  return 'path' in source ? ['--', source.path] : []
}
