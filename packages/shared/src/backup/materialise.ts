import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { BackupError, systemCode } from '@securyflex/shared/errors'
import { ensureDirectory, freeSpace } from '@securyflex/shared/files'
import { ArchiveOffsets } from '@securyflex/shared/postgres'
import { discard } from '@securyflex/shared/segments'

/** An archive as a file of its own, readable by its owner only. */
export interface Materialised extends AsyncDisposable {
  readonly path: string
  /** Whether its table of contents says where its data is. */
  readonly offsets: boolean
}

/** Bytes that stay free besides the archive. */
const margin = 64 * 2 ** 20
/** Nothing is restored for longer; in ms. */
const longest = 7 * 24 * 3600 * 1000

/**
 * Writes an archive into a file below `directory`, for a pg_restore with several jobs, which has to seek. It is
 * removed when the result is disposed of; after a kill by the next restore on this machine.
 *
 * @param archive its parts are this function's own: each is empty once it is written
 * @param bytes its length, for which there must be room
 * @throws STORAGE_FULL, SPOOL_UNUSABLE, CANCELLED, and the error of `archive`
 */
export async function materialise(
  archive: AsyncIterable<Buffer>,
  bytes: number,
  directory: string,
  signal?: AbortSignal,
): Promise<Materialised> {
  try {
    await ensureDirectory(directory)
    await removeAbandonedArchives(directory)
    await refuseFull(bytes, directory)
    const own = join(directory, `${hostname()}.${String(process.pid)}.${randomBytes(4).toString('hex')}`)
    return await write(archive, own, signal)
  } catch (error) {
    throw explain(error, directory)
  }
}

async function write(
  archive: AsyncIterable<Buffer>,
  own: string,
  signal: AbortSignal | undefined,
): Promise<Materialised> {
  const remove = () => rm(own, { recursive: true, force: true })
  const path = join(own, 'archive')
  await mkdir(own, { mode: 0o700 })
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      const found = new ArchiveOffsets()
      for await (const part of archive) {
        if (signal?.aborted === true) throw cancelled(signal)
        found.push(part)
        await file.writeFile(part)
        discard(part)
      }
      const head = found.end()
      if (head !== undefined) await file.write(head, 0, head.length, 0)
      return { path, offsets: head !== undefined, [Symbol.asyncDispose]: remove }
    } finally {
      await file.close()
    }
  } catch (error) {
    await remove()
    throw error
  }
}

function cancelled({ reason }: AbortSignal): BackupError {
  return reason instanceof BackupError
    ? reason
    : new BackupError('CANCELLED', 'The restore was stopped.', { cause: reason })
}

async function refuseFull(bytes: number, directory: string): Promise<void> {
  const free = await freeSpace(directory)
  if (free >= bytes + margin) return
  const [needs, has] = [bytes + margin, free].map((amount) => `${String(Math.ceil(amount / 2 ** 20))} MiB`)
  throw new BackupError(
    'STORAGE_FULL',
    `The archive needs ${String(needs)} in ${directory}, and ${String(has)} are free.`,
    {
      hint: 'Make room, set BACKUP_SPOOL_DIR to another disk, or leave --jobs out: then nothing is written there.',
    },
  )
}

/** Removes what killed processes of this machine left below `directory`, and what is older than any restore. */
export async function removeAbandonedArchives(directory: string): Promise<void> {
  for (const name of await list(directory)) {
    const [, host, pid] = /^(.*)\.(\d+)\.[0-9a-f]{8}$/.exec(name) ?? []
    if (host === undefined) continue
    const path = join(directory, name)
    const dead = host === hostname() && !lives(Number(pid))
    if (dead || (await ageOf(path)) > longest) await rm(path, { recursive: true, force: true })
  }
}

async function list(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    // Nothing was ever written there.
    if (systemCode(error) === 'ENOENT') return []
    throw explain(error, directory)
  }
}

async function ageOf(path: string): Promise<number> {
  try {
    return Date.now() - (await stat(path)).mtimeMs
  } catch (error) {
    // Another process that cleans up was faster.
    if (systemCode(error) === 'ENOENT') return 0
    throw error
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) !== 'ESRCH'
  }
}

function explain(error: unknown, directory: string): unknown {
  const code = systemCode(error)
  if (error instanceof BackupError || code === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new BackupError('STORAGE_FULL', `${directory} is full.`, {
      hint: 'Make room, set BACKUP_SPOOL_DIR to another disk, or leave --jobs out: then nothing is written there.',
      cause: error,
    })
  }
  return new BackupError('SPOOL_UNUSABLE', `${directory} cannot be written (${code}).`, {
    hint: 'Set BACKUP_SPOOL_DIR to a directory that this user may write to.',
    cause: error,
  })
}
