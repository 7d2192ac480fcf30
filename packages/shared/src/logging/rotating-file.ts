import { closeSync, existsSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { Writable } from 'node:stream'

/** Bytes after which a new file is begun. */
const largestFile = 10_000_000
/** Files kept of one process, the current one included: `x.log`, `x.log.1`, … `x.log.4`. */
const mostFiles = 5

/**
 * A log file that is kept small. Lines are written at once, so that the last words of a process that
 * dies are not lost. A line that cannot be written is dropped: a full or read-only disk never stops
 * the work; it is reported once, and tried again with each line.
 */
export class RotatingFile extends Writable {
  readonly #path: string
  readonly #report: (cause: unknown) => void
  readonly #largest: number
  #descriptor: number | undefined
  #size = 0
  #reported = false

  constructor(path: string, report: (cause: unknown) => void, largest = largestFile) {
    super({ decodeStrings: true })
    this.#path = path
    this.#report = report
    this.#largest = largest
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    try {
      this.#append(chunk)
    } catch (error) {
      if (!this.#reported) this.#report(error)
      this.#reported = true
    }
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#close()
    done(error)
  }

  #append(chunk: Buffer): void {
    let descriptor = this.#descriptor ?? this.#open()
    if (this.#size > 0 && this.#size + chunk.length > this.#largest) {
      this.#close()
      this.#rotate()
      descriptor = this.#open()
    }
    this.#size += writeSync(descriptor, chunk)
  }

  #open(): number {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
    const descriptor = openSync(this.#path, 'a', 0o600)
    this.#descriptor = descriptor
    this.#size = fstatSync(descriptor).size
    return descriptor
  }

  #close(): void {
    const descriptor = this.#descriptor
    this.#descriptor = undefined
    if (descriptor !== undefined) closeSync(descriptor)
  }

  #rotate(): void {
    rmSync(this.#nth(mostFiles - 1), { force: true })
    for (let nth = mostFiles - 2; nth >= 0; nth--) {
      if (existsSync(this.#nth(nth))) renameSync(this.#nth(nth), this.#nth(nth + 1))
    }
  }

  #nth(nth: number): string {
    return nth === 0 ? this.#path : `${this.#path}.${nth}`
  }
}
