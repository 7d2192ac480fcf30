import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import {
  databaseShape,
  type Fingerprint,
  findTools,
  type NewDatabase,
  openConnection,
  restoreIntoNewDatabase,
  runScriptInNewDatabase,
  type Scratch,
  serverFacts,
  takeFingerprint,
  type Tools,
  underScratchName,
} from '@securyflex/shared/postgres'
import type { DumpFile } from './dump-file/dump-file.ts'
import { refuseCutDirectory, wholeTar } from './dump-file/whole-archive.ts'
import { wholeScript } from './dump-file/whole-script.ts'
import { needsOfArchive } from './needs/archive-needs.ts'
import { openTarget, refuseMissing, type Target } from './target.ts'

/** Which dump is restored, and where to. */
export interface RestoreFileRequest {
  readonly file: DumpFile
  /** The server; its database is a way in, and what the new one is made like. */
  readonly target: Connection
  /** Of the database that is created. */
  readonly name: string
  /** Restores owners and privileges too; a script of SQL cannot do without. */
  readonly owners: boolean
  /** Connections that load at a time; more than 1 needs a custom archive or a directory as it is on the disk. */
  readonly jobs: number
  /** Lets psql run the script's own backslash commands. */
  readonly allowCommands: boolean
  /** `BACKUP_PG_BIN_DIR`. */
  readonly pgBinDirectory: string | undefined
  readonly signal: AbortSignal
  /** Told how many bytes of the dump, unwrapped, have been handed on. */
  readonly onBytes?: (done: number) => void
}

/** What came of it. */
export interface RestoredFile {
  readonly database: string
  /** The program that restored, and its version. */
  readonly tool: string
  /** False for a script with statements that cannot be in a transaction; archives are not restored in one. */
  readonly oneTransaction: boolean
  /** What the new database holds; nothing says what it should. */
  readonly holds: Fingerprint
  /** What newer tools write and the server does not know. */
  readonly leftOut: readonly string[]
}

/**
 * Restores a dump of PostgreSQL's own tools into a new database, which gets its name when it is whole. Whatever
 * fails, it is dropped again, and the server is as it was. A script can change what is outside of its database (roles, say): that
 * is taken back only where it ran in one transaction.
 *
 * @throws DATABASE_EXISTS, DATABASE_BUSY, DATABASE_REFUSED, DATABASE_UNREACHABLE, TOOL_MISSING, TOOL_TOO_OLD, RESTORE_FAILED,
 *   STREAM_DAMAGED, USAGE, CANCELLED
 */
export async function restoreFile(request: RestoreFileRequest): Promise<RestoredFile> {
  const { file, name, signal } = request
  refuseImpossible(request)
  const target = await openTarget(request.target, name, signal)
  try {
    const tools = await chooseTools(file, target.facts.major, request.pgBinDirectory)
    const shape = await shapeLike(request.target, signal)
    const leftOut = new Set<string>()
    const onLeftOut = (statement: string) => void leftOut.add(statement)
    const load = file.kind === 'sql' ? runSql : loadArchive
    const loaded = await underScratchName(target.client, request.target, name, signal, async (scratch) => ({
      oneTransaction: await load({ ...request, onLeftOut }, scratch, tools, shape, target),
      holds: await inventory(request, scratch),
    }))
    return {
      database: name,
      tool: `${file.kind === 'sql' ? 'psql' : 'pg_restore'} ${tools.version}`,
      ...loaded,
      leftOut: [...leftOut],
    }
  } finally {
    await target.client.end()
  }
}

/** The server's own or the next newer, as long as they read the file: that of a newer pg_dump needs newer ones. */
async function chooseTools(
  { path, readableSince = 0 }: DumpFile,
  major: number,
  directory: string | undefined,
): Promise<Tools> {
  try {
    return await findTools(Math.max(major, readableSince), directory)
  } catch (error) {
    const tooOld = error instanceof BackupError && error.code === 'TOOL_TOO_OLD'
    if (!tooOld || readableSince <= major) throw error
    throw new BackupError(
      'TOOL_TOO_OLD',
      `${path} was made by pg_dump ${String(readableSince)} or newer, and no client tools as new are here.`,
      { ...(error.hint === undefined ? {} : { hint: error.hint }), cause: error },
    )
  }
}

interface Loading extends RestoreFileRequest {
  readonly onLeftOut: (statement: string) => void
}

function refuseImpossible({ file, owners, jobs }: RestoreFileRequest): void {
  if (file.kind === 'sql' && !owners) {
    throw usage(
      'A script of SQL names its owners itself.',
      'Create the roles that it names, and leave --without-owners out.',
    )
  }
  if (jobs === 1) return
  if (file.kind === 'sql' || file.kind === 'tar' || file.layers.length > 0) {
    const what =
      file.layers.length > 0 ? `something that is inside of ${file.layers.join(', then ')}` : file.kind
    throw usage(`pg_restore cannot read ${what} with several jobs.`, 'Leave --jobs out.')
  }
}

function usage(message: string, hint: string): BackupError {
  return new BackupError('USAGE', message, { hint })
}

/** A dump does not say how its database sorted; that of the connection is the best guess, if it is there. */
async function shapeLike(connection: Connection, signal: AbortSignal): Promise<NewDatabase> {
  const client = await openConnection(connection, { applicationName, signal }).catch((error: unknown) => {
    if (error instanceof BackupError && error.code === 'DATABASE_REFUSED') return undefined
    throw error
  })
  if (client === undefined) return {}
  try {
    const {
      name: _name,
      owner: _owner,
      ...shape
    } = await databaseShape(client, (await serverFacts(client)).versionNumber)
    return shape
  } finally {
    await client.end()
  }
}

async function runSql(
  request: Loading,
  { name, signal }: Scratch,
  tools: Tools,
  shape: NewDatabase,
): Promise<boolean> {
  const { file, target, allowCommands, onLeftOut } = request
  const read = () => counted(request, file.ofPgDump ? wholeScript(file.read(), file.path) : file.read())
  return await runScriptInNewDatabase(tools, target, name, shape, read, signal, { allowCommands, onLeftOut })
}

async function loadArchive(
  request: Loading,
  { name, signal }: Scratch,
  tools: Tools,
  shape: NewDatabase,
  target: Target,
): Promise<boolean> {
  const { file, owners, jobs, onLeftOut } = request
  const format = file.kind === 'sql' ? 'custom' : file.kind
  // A file as it is can be sought in, which an archive out of order needs.
  const direct = file.layers.length === 0 ? { path: file.path } : undefined
  await refuseCut(file)
  if (owners) {
    const needs = await needsOfArchive(tools, direct ?? file.read(), signal, format)
    await refuseMissing(target, needs, 'pg_dumpall --globals-only on the old server')
  }
  await restoreIntoNewDatabase(
    tools,
    request.target,
    name,
    shape,
    direct ?? counted(request, file.read()),
    signal,
    { owners, format, jobs, onLeftOut },
  )
  return false
}

/** What pg_restore would not notice; a custom archive says where it ends, and pg_restore looks. */
async function refuseCut(file: DumpFile): Promise<void> {
  if (file.kind === 'directory') await refuseCutDirectory(file.path)
  // Reading is checking; what is read goes to pg_restore another time, because that may need to seek.
  if (file.kind === 'tar') for await (const _part of wholeTar(file.read(), file.path)) continue
}

async function* counted(
  { onBytes }: RestoreFileRequest,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  let done = 0
  for await (const part of source) {
    yield part
    done += part.length
    onBytes?.(done)
  }
}

async function inventory({ target, name }: RestoreFileRequest, scratch: Scratch): Promise<Fingerprint> {
  const client = await openConnection(target, {
    applicationName,
    signal: scratch.signal,
    database: scratch.name,
  })
  const holds = await takeFingerprint(client, 'counts').finally(() => client.end())
  return { ...holds, database: { ...holds.database, name } }
}

const applicationName = 'securyflex-backup restore'
