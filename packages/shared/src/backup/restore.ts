import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import {
  type ArchiveInput,
  compareFingerprints,
  type Comparison,
  type Fingerprint,
  findTools,
  intoNewDatabase,
  type NewDatabase,
  openConnection,
  parseFingerprint,
  restoreArchive,
  type Scratch,
  takeFingerprint,
  type Tools,
  underScratchName,
} from '@securyflex/shared/postgres'
import {
  BackupReader,
  checkPresence,
  type Manifest,
  type ManifestStream,
} from '@securyflex/shared/repository'
import pg from 'pg'
import type { ChosenBackup } from './find-backup.ts'
import { madeBy } from './made-by.ts'
import { materialise } from './materialise.ts'
import { needsOfArchive } from './needs/archive-needs.ts'
import { definitionsOf } from './needs/definitions.ts'
import { applyProperties, type AppliedProperties } from './properties/apply.ts'
import { decodeText } from './properties/encodings.ts'
import { type DatabaseProperties, propertiesOf } from './properties/properties.ts'
import { withSchemas } from './schemas.ts'
import { shapeOf } from './shape.ts'
import { openTarget, refuseMissing, type Target } from './target.ts'

/** What is restored, and where to. */
export interface RestoreRequest {
  readonly backup: ChosenBackup
  /** The server; its database is only a way in. */
  readonly target: Connection
  /** Of the database that is created. */
  readonly name: string
  /** Restores owners and privileges too; without them everything belongs to the role that restores. */
  readonly owners: boolean
  /** Leaves a database that differs from what was backed up where it is, to be looked at. */
  readonly keepDifferent: boolean
  /** `BACKUP_PG_BIN_DIR`. */
  readonly pgBinDirectory: string | undefined
  readonly signal: AbortSignal
  /**
   * Loads over several connections at a time. The archive is then written into a file below `directory` first,
   * as it is and not encrypted, readable by its owner only, and removed at the end. Default: it is streamed.
   */
  readonly parallel?: { readonly jobs: number; readonly directory: string } | undefined
  /** Told how many bytes of the archive have been handed to pg_restore, or to that file. */
  readonly onBytes?: (done: number) => void
}

/** What came of it. */
export interface Restored {
  readonly database: string
  /** Bytes of the archive. */
  readonly bytes: number
  /** Version of the pg_restore that was used. */
  readonly tool: string
  /** Undefined if the backup has no fingerprint (BACKUP_FINGERPRINT=off). */
  readonly comparison: Comparison | undefined
  /** Settings, limits, comment and privileges of the database itself. */
  readonly properties: AppliedProperties
  /** What newer tools write and the server does not know. */
  readonly leftOut: readonly string[]
}

/**
 * Restores a backup into a new database. Everything that can be known before is checked before. It is filled,
 * compared and given its properties under a scratch name, and its own name is the last thing that it gets;
 * whatever fails, it is dropped again, and the server is as it was.
 *
 * @throws DATABASE_EXISTS, DATABASE_BUSY, DATABASE_REFUSED, DATABASE_UNREACHABLE, TOOL_MISSING, TOOL_TOO_OLD,
 *   RESTORE_FAILED, COMPARISON_FAILED, SEGMENT_MISSING, SEGMENT_TRUNCATED, SEGMENT_TAMPERED, SEGMENT_FOREIGN, STREAM_DAMAGED,
 *   CANCELLED
 */
export async function restore(request: RestoreRequest): Promise<Restored> {
  const { backup, name, signal } = request
  // What is asked of a silent destination ends with the restore.
  const storage = backup.storage.until(signal)
  const reader = new BackupReader(storage, backup.opened)
  const archive = archiveOf(reader)
  const target = await openTarget(request.target, name, signal)
  try {
    const tools = await chooseTools(reader.manifest, target, request.pgBinDirectory)
    await checkPresence(storage, reader, await reader.index(), signal)
    const expected = await readFingerprint(reader)
    if (request.owners) {
      await refuseMissing(
        target,
        await needsOfArchive(tools, reader.read(archive), signal),
        `npx --no securyflex-backup restore ${reader.manifest.run} --globals`,
      )
    }
    const script = await definitionsOf(tools, reader.read(archive), signal, { create: true })
    const result = await underScratchName(target.client, request.target, name, signal, async (scratch) => {
      const text = decodeText(script, reader.manifest.database['encoding'])
      const database = propertiesOf(text, scratch.name)
      const from = { reader, archive, script: text }
      const leftOut = await fill(request, scratch, tools, from, await placeOf(target, database))
      if (request.owners) await giveToOwner(target, scratch.name, reader.manifest.database['owner'])
      const comparison = expected === undefined ? undefined : await compare(request, scratch, expected)
      const statements = request.owners ? [...database.privileges, ...database.settings] : database.settings
      const properties = await applyProperties(request.target, scratch, statements, name)
      return { comparison, properties, leftOut }
    })
    return { database: name, bytes: archive.bytes, tool: tools.version, ...result }
  } finally {
    await target.client.end()
  }
}

function archiveOf(reader: BackupReader): ManifestStream {
  const archive = reader.stream('archive')
  if (archive !== undefined) return archive
  throw new BackupError('STREAM_DAMAGED', `The backup ${reader.manifest.run} holds no archive.`, {
    hint: 'Use another backup of this source: npx --no securyflex-backup list',
  })
}

/** pg_restore must be as new as the pg_dump of the archive; where it can be, it is the server's own. */
async function chooseTools(
  manifest: Manifest,
  { facts }: Target,
  directory: string | undefined,
): Promise<Tools> {
  const oldest = madeBy(manifest)
  if (facts.major > oldest) {
    try {
      return await findTools(facts.major, directory)
    } catch (error) {
      if (!(error instanceof BackupError && error.code === 'TOOL_TOO_OLD')) throw error
    }
  }
  return findTools(oldest, directory)
}

async function readFingerprint(reader: BackupReader): Promise<Fingerprint | undefined> {
  const stream = reader.stream('fingerprint')
  if (stream === undefined || stream.bytes === 0) return undefined
  return parseFingerprint((await reader.readAll(stream)).toString('utf8'))
}

/** What is loaded. */
interface Contents {
  readonly reader: BackupReader
  readonly archive: ManifestStream
  /** The definitions in the archive. */
  readonly script: string
}

async function fill(
  { target, owners, parallel, onBytes }: RestoreRequest,
  { name, signal }: Scratch,
  tools: Tools,
  { reader, archive, script }: Contents,
  place: Pick<NewDatabase, 'tablespace'>,
): Promise<readonly string[]> {
  async function* counted(): AsyncGenerator<Buffer> {
    let done = 0
    for await (const part of reader.read(archive)) {
      // Whoever takes it may empty it.
      const { length } = part
      yield part
      done += length
      onBytes?.(done)
    }
  }
  const shape = { ...shapeOf(reader.manifest), ...place }
  const leftOut: string[] = []
  const options = { owners, onLeftOut: (statement: string) => leftOut.push(statement) }
  const load = async (source: ArchiveInput, jobs: number) => {
    const restoreAll = () => restoreArchive(tools, target, name, source, signal, { ...options, jobs })
    const isPartial = reader.manifest.options.selection !== undefined
    await intoNewDatabase(target, name, shape, () =>
      isPartial
        ? withSchemas({ ...target, database: name }, script, owners, signal, restoreAll)
        : restoreAll(),
    )
    return leftOut
  }
  if (parallel === undefined) return await load(counted(), 1)
  await using file = await materialise(counted(), archive.bytes, parallel.directory, signal)
  return await load(file, parallel.jobs)
}

/** The tablespace of the source, where the server has one of that name: another place is no loss. */
async function placeOf(
  { client }: Target,
  { tablespace }: DatabaseProperties,
): Promise<Pick<NewDatabase, 'tablespace'>> {
  if (tablespace === undefined) return {}
  const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_tablespace WHERE spcname = $1', [
    tablespace,
  ])
  return rowCount === 0 ? {} : { tablespace }
}

/**
 * A database without its owner is no loss where the role that restores may not give it away, or could do nothing
 * with it any more; the comparison notes it.
 */
async function giveToOwner(
  { client, facts }: Target,
  name: string,
  owner: string | null | undefined,
): Promise<void> {
  if (owner === undefined || owner === null) return
  const mayBecome = facts.versionNumber >= 160_000 ? ` AND pg_has_role(current_user, oid, 'SET')` : ''
  const { rows } = await client.query<{ may: boolean }>(
    `SELECT pg_has_role(current_user, oid, 'USAGE')${mayBecome} AS may FROM pg_catalog.pg_roles WHERE rolname = $1`,
    [owner],
  )
  if (rows[0]?.may !== true) return
  await client.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} OWNER TO ${pg.escapeIdentifier(owner)}`)
}

async function compare(
  { target, keepDifferent }: RestoreRequest,
  { name, signal }: Scratch,
  expected: Fingerprint,
): Promise<Comparison> {
  const client = await openConnection(target, {
    applicationName: 'securyflex-backup compare',
    signal,
    database: name,
  })
  const comparison = await takeFingerprint(client, expected.level)
    .then((found) => compareFingerprints(expected, found))
    .finally(() => client.end())
  const [first, ...more] = comparison.differences
  if (first === undefined || keepDifferent) return comparison
  const others = more.length === 0 ? '' : ` There are ${String(more.length)} more differences.`
  throw new BackupError(
    'COMPARISON_FAILED',
    `The restored database is not what was backed up, and was dropped: ${first}${others}`,
    {
      hint: 'Verify the backup with --full; to look at the restored database all the same, restore it with --keep.',
    },
  )
}
