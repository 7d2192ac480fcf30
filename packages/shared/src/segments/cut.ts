import { discard } from './discard.ts'

/** Bounds of a segment in bytes; docs/format.md, "Cutting". */
export const shortestSegment = 768 * 1024
export const longestSegment = 8 * 1024 * 1024

/** h depends on this many bytes: each step shifts a 32-bit value by one. */
const window = 32
/** The upper 19 bits zero: a cut about 512 KiB after the minimum; docs/benchmarks.md has what other lengths would store. */
const boundaryShift = 13
/** Bytes that are held at first: most streams of a small database are no longer. */
const firstRoom = 64 * 1024

/**
 * Cuts a byte stream where its content says so, so that an insertion moves no later cut.
 * Chunks go in, whole segments come out, each as a view of the one place in which they are gathered: it is the
 * caller's until the next segment is asked for. Disposing frees that place.
 */
export class Cutter {
  readonly #gear: Uint32Array
  #pending: Buffer = Buffer.alloc(0)
  #length = 0
  #hash = 0

  constructor(gearTable: Uint32Array) {
    this.#gear = gearTable
  }

  /** The segments that `chunk` completes, in order. */
  *push(chunk: Uint8Array): Generator<Buffer> {
    let rest = chunk
    while (rest.length > 0) {
      const taken = rest.subarray(0, longestSegment - this.#length)
      const from = this.#length
      this.#makeRoom(from + taken.length)
      this.#pending.set(taken, from)
      const boundary = this.#findBoundary(from, from + taken.length)
      const end = boundary ?? from + taken.length
      this.#length = end
      rest = rest.subarray(end - from)
      if (boundary !== undefined || end === longestSegment) yield this.#take()
    }
  }

  /** The last segment of the stream, shorter than the minimum perhaps; undefined if nothing is left. */
  end(): Buffer | undefined {
    return this.#length === 0 ? undefined : this.#take()
  }

  [Symbol.dispose](): void {
    discard(this.#pending)
    this.#pending = Buffer.alloc(0)
  }

  /** Room for `length` bytes: twice as much each time, up to the longest segment, which stays for the next one. */
  #makeRoom(length: number): void {
    if (length <= this.#pending.length) return
    const room = Math.min(longestSegment, Math.max(firstRoom, 2 * this.#pending.length, length))
    const larger = Buffer.allocUnsafeSlow(room)
    this.#pending.copy(larger, 0, 0, this.#length)
    discard(this.#pending)
    this.#pending = larger
  }

  #findBoundary(from: number, to: number): number | undefined {
    const bytes = this.#pending
    const gear = this.#gear
    let hash = this.#hash
    // Bytes more than a window before the first place that may be a boundary decide nothing.
    let at = Math.max(from, shortestSegment - window)
    for (; at < to && at + 1 < shortestSegment; at++) hash = roll(hash, gear, bytes[at] as number)
    // Four bytes a turn: half as fast again as one.
    for (; at + 4 <= to; at += 4) {
      hash = roll(hash, gear, bytes[at] as number)
      if (hash >>> boundaryShift === 0) return at + 1
      hash = roll(hash, gear, bytes[at + 1] as number)
      if (hash >>> boundaryShift === 0) return at + 2
      hash = roll(hash, gear, bytes[at + 2] as number)
      if (hash >>> boundaryShift === 0) return at + 3
      hash = roll(hash, gear, bytes[at + 3] as number)
      if (hash >>> boundaryShift === 0) return at + 4
    }
    for (; at < to; at++) {
      hash = roll(hash, gear, bytes[at] as number)
      if (hash >>> boundaryShift === 0) return at + 1
    }
    this.#hash = hash
    return undefined
  }

  #take(): Buffer {
    const segment = this.#pending.subarray(0, this.#length)
    this.#length = 0
    this.#hash = 0
    return segment
  }
}

/** The rolling hash with one more byte: what is a window old has left its 32 bits. */
function roll(hash: number, gear: Uint32Array, byte: number): number {
  return ((hash << 1) + (gear[byte] as number)) | 0
}
