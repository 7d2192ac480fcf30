import { randomBytes } from 'node:crypto'
import { link, lstat, mkdir, open, readdir, rename, rm, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { systemCode } from '@securyflex/shared/errors'

/** Only the owner may enter or list. */
const privateDirectory = 0o700
/** Only the owner may read. */
export const privateFile = 0o600

/** Creates `path` and its parents, each 0700, if they are not there; what it created survives a crash. */
export async function ensureDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: privateDirectory })
  if (first === undefined) return
  for (let made = resolve(path); made.length >= first.length; made = dirname(made)) {
    await syncDirectory(dirname(made))
  }
}

/**
 * Writes `content` so that `path` holds either what it held before or all of `content`,
 * also after a crash: temporary name, fsync, rename, fsync of the directory (pgBackRest's rule).
 */
export async function writeFileDurably(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = await writeTemporary(path, content)
  try {
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/**
 * Like {@link writeFileDurably}, but never replaces: `false` if `path` exists already.
 * `link` is the one call that publishes a whole file and fails if the name is taken.
 */
export async function createFileDurably(path: string, content: Uint8Array | string): Promise<boolean> {
  const temporary = await writeTemporary(path, content)
  const created = await linkUnlessTaken(temporary, path)
  // Also when another one was first: its name may not be on the disk yet, and the caller builds upon it.
  await syncDirectory(dirname(path))
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
    await rm(temporary, { force: true })
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

async function writeTemporary(path: string, content: Uint8Array | string): Promise<string> {
  const temporary = temporaryName(path)
  const file = await open(temporary, 'wx', privateFile)
  try {
    await file.writeFile(content)
    await file.sync()
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await file.close()
  }
  return temporary
}

const temporaryMark = '.tmp-'
const temporaryPattern = /\.tmp-[0-9a-f]{12}$/

/** A name beside `path` that no other execution uses; {@link isTemporaryName} knows it. */
export function temporaryName(path: string): string {
  return `${path}${temporaryMark}${randomBytes(6).toString('hex')}`
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
  let removed = 0
  for (const name of (await ifThere(() => readdir(directory))) ?? []) {
    if (!isTemporaryName(name) || !name.startsWith(of === '' ? '' : `${of}${temporaryMark}`)) continue
    const path = join(directory, name)
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
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
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
