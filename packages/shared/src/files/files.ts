import { randomUUID } from 'node:crypto'
import { fsync as flush } from 'node:fs'
import { link, lstat, mkdir, readdir, rename, rm, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { systemCode } from '@securyflex/shared/errors'
import { byThreads, type Disk } from './near.ts'

const fsync = promisify(flush)

/** Only the owner may enter or list. */
const privateDirectory = 0o700
/** Only the owner may read. */
export const privateFile = 0o600

/** Creates `path` and its parents, each 0700, if they are not there; what it created survives a crash. */
export async function ensureDirectory(path: string, disk = byThreads): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: privateDirectory })
  if (first === undefined) return
  for (let made = resolve(path); made.length >= first.length; made = dirname(made)) {
    await syncDirectory(dirname(made), disk)
  }
}

/**
 * Writes `content` so that `path` holds either what it held before or all of `content`,
 * also after a crash: temporary name, fsync, rename, fsync of the directory (pgBackRest's rule).
 */
export async function writeFileDurably(
  path: string,
  content: Uint8Array | string,
  disk = byThreads,
): Promise<void> {
  const temporary = await writeTemporary(path, content, disk)
  try {
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncDirectory(dirname(path), disk)
}

/**
 * Like {@link writeFileDurably}, but never replaces: `false` if `path` exists already.
 * `link` is the one call that publishes a whole file and fails if the name is taken.
 */
export async function createFileDurably(
  path: string,
  content: Uint8Array | string,
  disk = byThreads,
): Promise<boolean> {
  const temporary = await writeTemporary(path, content, disk)
  const created = await linkUnlessTaken(temporary, path)
  // Also when another one was first: its name may not be on the disk yet, and the caller builds upon it.
  await syncDirectory(dirname(path), disk)
  return created
}

/** Publishes `temporary` as `path`, and removes it; `false` if that name is taken. */
export async function linkUnlessTaken(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path)
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  } finally {
    await ifThere(() => unlink(temporary))
  }
}

/** Removes the file at `path`, which may be gone already, so that it does not come back after a crash. */
export async function removeFileDurably(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  await syncDirectory(dirname(path))
}

async function writeTemporary(path: string, content: Uint8Array | string, disk: Disk): Promise<string> {
  const temporary = temporaryName(path)
  const file = await disk.open(temporary, 'wx', privateFile)
  try {
    let rest: Uint8Array = typeof content === 'string' ? Buffer.from(content) : content
    while (rest.length > 0) rest = rest.subarray(await disk.write(file, rest))
    await fsync(file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await disk.close(file)
  }
  return temporary
}

const temporaryMark = '.tmp-'
const temporaryPattern = /\.tmp-[0-9a-f]{12}$/

/** A name beside `path` that no other execution uses; {@link isTemporaryName} knows it. */
export function temporaryName(path: string): string {
  // A UUID begins with twelve random digits, and costs less than random bytes of its own.
  return `${path}${temporaryMark}${randomUUID().replaceAll('-', '').slice(0, 12)}`
}

/** Whether a crash could have left a file of this name behind. */
export function isTemporaryName(path: string): boolean {
  return temporaryPattern.test(path)
}

/** A writer that has not touched its file for this long is dead. In ms. */
const deadAfter = 24 * 60 * 60 * 1000

/**
 * Removes the files that killed writers left in `directory` under names of {@link temporaryName}, once nobody has
 * written to them for a day. Directories below it are not entered; one that is not there holds nothing.
 * @param of only those beside this name of the directory
 * @returns how many
 */
export async function removeTemporaries(directory: string, now: Date, of = ''): Promise<number> {
  const names = (await ifThere(() => readdir(directory))) ?? []
  const begin = of === '' ? '' : `${of}${temporaryMark}`
  const paths = names.filter((name) => name.startsWith(begin)).map((name) => join(directory, name))
  return removeDead(paths, now)
}

/** Of `paths`, removes what {@link removeTemporaries} would. @returns how many */
export async function removeDead(paths: readonly string[], now: Date): Promise<number> {
  let removed = 0
  for (const path of paths.filter(isTemporaryName)) {
    const facts = await ifThere(() => lstat(path))
    if (facts?.isFile() !== true || now.getTime() - facts.mtimeMs < deadAfter) continue
    await rm(path, { force: true })
    removed += 1
  }
  return removed
}

async function ifThere<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** What was created, renamed or removed in the directory `path` survives a crash after this. */
export async function syncDirectory(path: string, disk = byThreads): Promise<void> {
  const directory = await disk.open(path, 'r')
  try {
    await fsync(directory)
  } finally {
    await disk.close(directory)
  }
}

/** Whether something is at `path`. Errors other than "not there" are thrown. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
    throw error
  }
}

/** Bytes that an unprivileged user may still write on the file system of `path`. */
export async function freeSpace(path: string): Promise<number> {
  const facts = await statfs(path)
  return facts.bavail * facts.bsize
}
