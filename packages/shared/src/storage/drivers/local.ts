import { chmod, open, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { BackupError, systemCode } from '@securyflex/shared/errors'
import {
  createFileDurably,
  ensureDirectory,
  isTemporaryName,
  type Disk,
  DiskBelow,
  privateFile,
  removeDead,
  removeFileDurably,
  removeTemporaries,
  temporaryName,
  writeFileDurably,
} from '@securyflex/shared/files'
import { directoryOf, partsOf } from '../keys.ts'
import { ServerClock } from '../server-clock.ts'
import { either, unlessAborted } from '../signals.ts'
import type { ByteRange, Storage, StoredObject } from '../storage.ts'

/** A repository in a directory: crash-safe, 0700/0600. */
export class LocalStorage implements Storage {
  readonly name: string
  readonly shown: string
  readonly #root: string
  readonly #signal: AbortSignal | undefined
  readonly #clock: ServerClock
  readonly #below: DiskBelow

  constructor(
    name: string,
    directory: string,
    signal?: AbortSignal,
    clock = new ServerClock(),
    below = new DiskBelow(directory),
  ) {
    this.name = name
    this.#root = resolve(directory)
    this.shown = this.#root
    this.#signal = signal
    this.#clock = clock
    this.#below = below
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#write(key, (path, disk) => writeFileDurably(path, body, disk))
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    return this.#write(key, (path, disk) => createFileDurably(path, body, disk))
  }

  async get(key: string, range?: ByteRange): Promise<Buffer | undefined> {
    const path = this.#path(key)
    return this.#ifThere((disk) => (range === undefined ? disk.read(path) : readPart(path, range)))
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    const facts = await this.#ifThere((disk) => disk.stat(this.#path(key)))
    if (facts?.isFile() !== true) return undefined
    return { key, size: facts.size, modified: facts.mtime }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    yield* this.#walk(directoryOf(prefix), prefix)
  }

  async delete(key: string): Promise<void> {
    await this.#guard(() => removeFileDurably(this.#path(key)))
  }

  async removeUnfinished(prefix: string): Promise<number> {
    return this.#guard(() => this.#removeUnfinishedIn(this.#path(prefix.replace(/\/$/, ''))))
  }

  /** The clock that dates its files: that of another machine, for a mounted directory. */
  now(): Promise<Date> {
    return this.#clock.now(() =>
      this.#guard(async () => this.#clock.observe(await dateOfNewFile(this.#root))),
    )
  }

  /** A call that has begun ends by itself: the system cannot be asked to stop. Those who wait are told at once. */
  until(signal: AbortSignal): Storage {
    return new LocalStorage(this.name, this.#root, either(this.#signal, signal), this.#clock, this.#below)
  }

  async #removeUnfinishedIn(path: string): Promise<number> {
    const entries = (await this.#ifThere((disk) => disk.names(path))) ?? []
    const unfinished = entries.filter(({ name }) => isTemporaryName(name)).map(({ name }) => join(path, name))
    let removed = unfinished.length === 0 ? 0 : await removeDead(unfinished, await this.now())
    for (const entry of entries) {
      if (entry.isDirectory()) removed += await this.#removeUnfinishedIn(join(path, entry.name))
    }
    return removed
  }

  async *#walk(directory: string, prefix: string): AsyncGenerator<StoredObject> {
    const entries = (await this.#ifThere((disk) => disk.names(join(this.#root, directory)))) ?? []
    for (const entry of entries) {
      const key = `${directory}${entry.name}`
      if (entry.isDirectory()) {
        if (`${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`)) yield* this.#walk(`${key}/`, prefix)
      } else if (key.startsWith(prefix) && !isTemporaryName(entry.name)) {
        const found = await this.stat(key)
        if (found !== undefined) yield found
      }
    }
  }

  async #write<T>(key: string, write: (path: string, disk: Disk) => Promise<T>): Promise<T> {
    const path = this.#path(key)
    return this.#guard(async () => {
      const disk = await this.#below.get()
      try {
        return await write(path, disk)
      } catch (error) {
        // Its directory is not there yet, which is so once for most.
        if (systemCode(error) !== 'ENOENT') throw error
        await ensureDirectory(dirname(path), disk)
        return write(path, disk)
      }
    })
  }

  async #ifThere<T>(read: (disk: Disk) => Promise<T>): Promise<T | undefined> {
    return this.#guard(async () => {
      try {
        return await read(await this.#below.get())
      } catch (error) {
        // A directory is no object.
        if (systemCode(error) === 'ENOENT' || systemCode(error) === 'EISDIR') return undefined
        throw error
      }
    })
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    const guarded = async () => {
      try {
        return await work()
      } catch (error) {
        throw inWords(error, this.shown, this.name)
      }
    }
    return unlessAborted(guarded, this.#signal)
  }

  #path(key: string): string {
    return join(this.#root, ...partsOf(key))
  }
}

async function readPart(path: string, { start, length }: ByteRange): Promise<Buffer> {
  await using file = await open(path)
  const { size } = await file.stat()
  const buffer = Buffer.alloc(Math.max(0, Math.min(length, size - start)))
  const { bytesRead } = await file.read(buffer, 0, buffer.length, start)
  return buffer.subarray(0, bytesRead)
}

/** When a file that is written below `directory` now is dated; undefined where none can be written. */
async function dateOfNewFile(directory: string): Promise<Date | undefined> {
  const path = temporaryName(join(directory, 'clock'))
  try {
    await using file = await open(path, 'wx', privateFile)
    return (await file.stat()).mtime
  } catch (error) {
    // Nothing is there yet, or it is only read: then nothing is dated there either.
    if (['ENOENT', 'EACCES', 'EPERM', 'EROFS'].includes(systemCode(error) ?? '')) return undefined
    throw error
  } finally {
    await rm(path, { force: true })
  }
}

/** Closes `directory` to others, as a repository's must be; creates it if needed. Clears its top level of unfinished files. */
export async function openLocalDirectory(directory: string, name: string): Promise<void> {
  try {
    await ensureDirectory(directory)
    const { mode } = await stat(directory)
    if ((mode & 0o077) !== 0) await chmod(directory, 0o700)
    await removeTemporaries(directory, new Date())
  } catch (error) {
    throw inWords(error, directory, name)
  }
}

/** @param name of the destination, whose setting says where it is */
function inWords(error: unknown, place: string, name: string): unknown {
  const cause = { cause: error }
  const setting = name === 'local' ? 'BACKUP_DIR' : `destinations.${name}.directory`
  switch (systemCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new BackupError('STORAGE_FULL', `There is no space left in ${place}.`, {
        hint: `Free some space (df -h ${place}) or set ${setting} to another file system.`,
        ...cause,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new BackupError('STORAGE_REFUSED', `${place} cannot be written or read by this user.`, {
        hint: `Check its owner and mode with ls -ld ${place}, or set ${setting} to a directory of your own.`,
        ...cause,
      })
    case 'EISDIR':
      return new BackupError('STORAGE_REFUSED', `In ${place} a directory has the name of a file.`, {
        hint: `Look for it and move it away: find ${place} -type d`,
        ...cause,
      })
    case 'ENOTDIR':
    case 'EEXIST':
      return new BackupError('STORAGE_REFUSED', `${place} is not a directory.`, {
        hint: `Set ${setting} to a directory; it is created if it does not exist.`,
        ...cause,
      })
    case undefined:
      return error
    default:
      return new BackupError('STORAGE_UNREACHABLE', `${place} failed: ${(error as Error).message}.`, {
        hint: `Check the disk or the mount of ${place}.`,
        ...cause,
      })
  }
}
