import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { systemCode } from '@securyflex/shared/errors'
import { temporaryName } from '@securyflex/shared/files'

/**
 * The spool's names and small files, on which a run looks some hundred times. These calls do not hand their work to
 * another thread: that costs ten times what the call itself does (0.1 to 0.2 ms of CPU time for one of 5 to 10 µs), which
 * was a fifth of a small run. Segments of some length, and whatever waits for a disk, are left to others.
 *
 * Nothing is flushed to the disk either. What a power cut leaves of a small file is noticed when it is read, like what it
 * leaves of a batch, and the dump is made again.
 */

/** What is no longer is read and written like this, in bytes; beyond it the work is worth a trip to another thread. */
export const longestNote = 64 * 1024

/** So many looks in a row, then everything else has its turn: a long dump has thousands of batches. */
const inARow = 100
let looks = 0

/** To be awaited before a look. */
export async function turn(): Promise<void> {
  looks += 1
  if (looks % inARow === 0) await setImmediate()
}

/** What is in the directory at `path`. */
export function namesIn(path: string): string[] {
  return readdirSync(path)
}

export function readNote(path: string): Buffer {
  return readFileSync(path)
}

/** Makes `path` hold all of `content`: whoever reads it meanwhile has this or what it held before. */
export function writeNote(path: string, content: Uint8Array | string): void {
  publish(path, content, renameSync)
}

/** Like {@link writeNote}, but never replaces; false if `path` exists already. */
export function createNote(path: string, content: Uint8Array | string): boolean {
  try {
    publish(path, content, (temporary) => {
      linkSync(temporary, path)
      rmSync(temporary)
    })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

/** Creates `path` and its parents, each for its owner only, if they are not there. */
export function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/** Removes the directory at `path` with all that is in it, also what somebody who still writes there puts back meanwhile. */
export function removeDirectory(path: string): void {
  for (;;) {
    try {
      rmSync(path, { recursive: true, force: true })
      return
    } catch (error) {
      if (systemCode(error) !== 'ENOTEMPTY') throw error
    }
  }
}

function publish(
  path: string,
  content: Uint8Array | string,
  move: (temporary: string, path: string) => void,
): void {
  const temporary = temporaryName(path)
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o600 })
    move(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** What `read` gives, or undefined if the file or directory is not there (any more). */
export async function ifThere<T>(read: () => T | Promise<T>): Promise<T | undefined> {
  await turn()
  try {
    return await read()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
