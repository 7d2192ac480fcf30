import { closeSync, openSync, read, readSync, statSync, unlinkSync, writev, writevSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import { longestNote } from './notes.ts'

const readByThread = promisify(read)
const writeByThread = promisify(writev)

/** A file of the spool that is written or read in order: what is short directly, see `notes.ts`, what is long by a thread. */
export class SpoolFile {
  readonly #file: number
  #isOpen = true
  #busy: Promise<unknown> = Promise.resolve()

  private constructor(file: number) {
    this.#file = file
  }

  /** Creates `path`, which must not exist, for its owner only. */
  static create(path: string): SpoolFile {
    return new SpoolFile(openSync(path, 'wx', 0o600))
  }

  /** Opens `path` to be read. */
  static open(path: string): SpoolFile {
    return new SpoolFile(openSync(path, 'r'))
  }

  /** Appends all of `parts`. A disk that is nearly full takes some, and then says why it takes no more. */
  append(parts: readonly Buffer[]): Promise<void> {
    return this.#during(this.#append(parts))
  }

  /** Fills `bytes` with what comes next. @returns how many there were: fewer at the file's end */
  fill(bytes: Buffer): Promise<number> {
    return this.#during(this.#fill(bytes))
  }

  /** Does nothing if it is closed already. What is being done with it ends first: its number may be another file's then. */
  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await Promise.allSettled([this.#busy])
    closeSync(this.#file)
  }

  #during<T>(work: Promise<T>): Promise<T> {
    this.#busy = work
    return work
  }

  async #append(parts: readonly Buffer[]): Promise<void> {
    let rest = [...parts]
    while (rest.length > 0) {
      const isShort = rest.reduce((sum, { length }) => sum + length, 0) <= longestNote
      const written = isShort
        ? writevSync(this.#file, rest)
        : (await writeByThread(this.#file, rest)).bytesWritten
      rest = after(rest, written)
    }
  }

  async #fill(bytes: Buffer): Promise<number> {
    let filled = 0
    while (filled < bytes.length) {
      const left = bytes.length - filled
      const count =
        left <= longestNote
          ? readSync(this.#file, bytes, filled, left, null)
          : (await readByThread(this.#file, bytes, filled, left, null)).bytesRead
      if (count === 0) break
      filled += count
    }
    return filled
  }
}

/** What is left of `parts` behind the first `count` bytes. */
function after(parts: readonly Buffer[], count: number): Buffer[] {
  let skipped = count
  return parts.flatMap((part) => {
    const taken = Math.min(skipped, part.length)
    skipped -= taken
    return taken === part.length ? [] : [part.subarray(taken)]
  })
}

/** Removes the file at `path`; the disk takes its time to free a long one. */
export async function removeFile(path: string): Promise<void> {
  if (statSync(path).size > longestNote) await unlink(path)
  else unlinkSync(path)
}
