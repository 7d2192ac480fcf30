import { createHash } from 'node:crypto'
import { basename, dirname } from 'node:path'
import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { BackupError, type Secret, systemCode } from '@securyflex/shared/errors'
import { exists, freeSpace, removeTemporaries, writeStreamDurably } from '@securyflex/shared/files'
import { archiveToScript, findTools } from '@securyflex/shared/postgres'
import { BackupReader, checkPresence } from '@securyflex/shared/repository'
import type { ChosenBackup } from './find-backup.ts'
import { madeBy } from './made-by.ts'
import { encryptSalted } from './openssl/salted.ts'

/** What is written: pg_dump's custom archive, its SQL, or that compressed. */
export type ExportFormat = 'custom' | 'sql' | 'sql.gz'
export const exportFormats: readonly ExportFormat[] = ['custom', 'sql', 'sql.gz']

/** What is written, and where to. */
export interface ExportRequest {
  readonly backup: ChosenBackup
  readonly format: ExportFormat
  readonly path: string
  /** Encrypts the file as `openssl enc` does. */
  readonly passphrase: Secret | undefined
  /** Replaces a file that is there. */
  readonly force: boolean
  /** `BACKUP_PG_BIN_DIR`. */
  readonly pgBinDirectory: string | undefined
  readonly signal: AbortSignal
  /** Told how many bytes of the archive have been read. */
  readonly onBytes?: (done: number) => void
}

/** What was written. */
export interface Exported {
  readonly path: string
  readonly bytes: number
  /** Of the file, in hex: openssl's files and SQL carry no proof that they are as they were written. */
  readonly sha256: string
}

/**
 * Writes a backup into one file that PostgreSQL's own tools, gunzip and openssl of any machine read. It appears
 * under its name only when it is whole.
 *
 * @throws USAGE if there is a file already, STORAGE_FULL, STORAGE_REFUSED, TOOL_MISSING, TOOL_TOO_OLD, SEGMENT_MISSING,
 *   SEGMENT_TRUNCATED, SEGMENT_TAMPERED, SEGMENT_FOREIGN, STREAM_DAMAGED, CANCELLED
 */
export async function exportBackup(request: ExportRequest): Promise<Exported> {
  const { backup, format, path, passphrase, force, signal } = request
  // What is asked of a silent destination ends with the export.
  const storage = backup.storage.until(signal)
  const reader = new BackupReader(storage, backup.opened)
  await prepare(path, force)
  await checkPresence(storage, reader, await reader.index(), signal)
  const archive = reader.stream('archive')
  if (archive === undefined) throw noArchive(reader)
  if (format !== 'sql.gz') await refuseFull(path, archive.bytes)
  const plain = counted(reader.read(archive), request)
  const dump = format === 'custom' ? plain : await toSql(request, reader, plain)
  const packed = format === 'sql.gz' ? compress(dump) : dump
  const sealed = passphrase === undefined ? packed : encryptSalted(packed, passphrase)
  return await write(request, sealed)
}

async function prepare(path: string, force: boolean): Promise<void> {
  if (!force && (await exists(path))) throw taken(path)
  if (await exists(dirname(path))) return
  throw new BackupError('FILE_NOT_FOUND', `There is no directory ${dirname(path)}.`, {
    hint: `Create it: mkdir -p ${dirname(path)}`,
  })
}

function noArchive({ manifest }: BackupReader): BackupError {
  return new BackupError('STREAM_DAMAGED', `The backup ${manifest.run} holds no archive.`, {
    hint: 'Use another backup of this source: npx --no securyflex-backup list',
  })
}

/** Uncompressed files are about as long as the archive. */
async function refuseFull(path: string, bytes: number): Promise<void> {
  const free = await freeSpace(dirname(path))
  if (free >= bytes) return
  const [needs, has] = [bytes, free].map((amount) => `${String(Math.ceil(amount / 2 ** 20))} MiB`)
  throw new BackupError(
    'STORAGE_FULL',
    `The file needs ${String(needs)}, and ${String(has)} are free at ${path}.`,
    {
      hint: 'Make room, name another place with --output, or write less with --format sql.gz.',
    },
  )
}

async function* counted(
  archive: AsyncIterable<Buffer>,
  { signal, onBytes }: ExportRequest,
): AsyncGenerator<Buffer> {
  let done = 0
  for await (const part of archive) {
    if (signal.aborted) throw cancelled(signal)
    yield part
    done += part.length
    onBytes?.(done)
  }
}

function cancelled({ reason }: AbortSignal): BackupError {
  return reason instanceof BackupError
    ? reason
    : new BackupError('CANCELLED', 'The export was stopped.', { cause: reason })
}

async function toSql(
  { pgBinDirectory, signal }: ExportRequest,
  { manifest }: BackupReader,
  archive: AsyncIterable<Buffer>,
): Promise<AsyncIterable<Buffer>> {
  return archiveToScript(await findTools(madeBy(manifest), pgBinDirectory), archive, signal)
}

async function* compress(plain: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = Readable.from(plain, { objectMode: false })
  const output = createGzip()
  // The compressor is what is read from: an error of its input has to come out of it.
  input.on('error', (error) => output.destroy(error))
  try {
    for await (const part of input.pipe(output)) yield part as Buffer
  } finally {
    input.destroy()
    output.destroy()
  }
}

async function write(
  { path, force, signal }: ExportRequest,
  content: AsyncIterable<Buffer>,
): Promise<Exported> {
  const hash = createHash('sha256')
  let bytes = 0
  async function* measured(): AsyncGenerator<Buffer> {
    for await (const part of content) {
      hash.update(part)
      bytes += part.length
      yield part
    }
    // The last moment: after it the file has its name.
    if (signal.aborted) throw cancelled(signal)
  }
  try {
    // An export to this file that was killed, perhaps.
    await removeTemporaries(dirname(path), new Date(), basename(path))
    if (!(await writeStreamDurably(path, measured(), { replace: force }))) throw taken(path)
    return { path, bytes, sha256: hash.digest('hex') }
  } catch (error) {
    throw explainWriting(error, path)
  }
}

function taken(path: string): BackupError {
  return new BackupError('USAGE', `${path} is there already.`, {
    hint: 'Name another file with --output, or replace it with --force.',
  })
}

function explainWriting(error: unknown, path: string): unknown {
  const code = systemCode(error)
  if (error instanceof BackupError || code === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new BackupError('STORAGE_FULL', `The disk of ${path} is full; nothing was left there.`, {
      hint: 'Make room, name another place with --output, or write less with --format sql.gz.',
      cause: error,
    })
  }
  return new BackupError('STORAGE_REFUSED', `${path} cannot be written (${code}).`, {
    hint: 'Name another place with --output.',
    cause: error,
  })
}
