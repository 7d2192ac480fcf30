import { readToc, type Toc } from './toc.ts'

/** Flag of an offset that is known (pg_backup_archiver.h, K_OFFSET_POS_SET). */
const offsetSet = 2
const blockOfLargeObjects = 3
/** A sign and four bytes. */
const intLength = 5

/** What is read next of the data: a block's type and id, a large object's oid, a length, or that many bytes. */
type Expected = 'block' | 'oid' | 'length'

/**
 * Finds where each table's data begins in a custom archive that passes by, and writes that into its table of
 * contents, as pg_dump does when it writes to a file: a pg_restore with several jobs then goes to its
 * data instead of reading all that is before it.
 */
export class ArchiveOffsets {
  #head: Buffer = Buffer.alloc(0)
  #tryAt = 0
  #toc: Toc | undefined
  /** An archive of a version that is not known passes by as it is. */
  #unknown = false
  /** Position of the next byte, from the archive's beginning. */
  #position = 0
  #expected: Expected = 'block'
  #inLargeObjects = false
  /** Bytes of data to pass by. */
  #skip = 0
  /** The beginning of an integer that goes on in the next chunk. */
  #rest: Buffer = Buffer.alloc(0)
  readonly #found = new Map<number, number>()

  push(chunk: Buffer): void {
    if (this.#unknown) return
    if (this.#toc !== undefined) {
      this.#scan(chunk)
      return
    }
    this.#head = Buffer.concat([this.#head, chunk])
    // Read again only when there is twice as much, or long tables of contents would take for ever.
    if (this.#head.length < this.#tryAt) return
    this.#readHead()
  }

  /**
   * The beginning of the archive with every offset that was found, to be written over its old one. Undefined if
   * the archive is not understood to its end; it is then good as it is.
   */
  end(): Buffer | undefined {
    if (this.#toc === undefined && !this.#unknown) this.#readHead()
    const toc = this.#toc
    if (toc === undefined || this.#expected !== 'block' || this.#skip > 0 || this.#rest.length > 0)
      return undefined
    const head = Buffer.from(this.#head.subarray(0, toc.end))
    for (const { dumpId, at, unset } of toc.entries) {
      const position = this.#found.get(dumpId)
      if (!unset || position === undefined) continue
      head.writeUInt8(offsetSet, at)
      head.writeBigUInt64LE(BigInt(position), at + 1)
    }
    return head
  }

  #readHead(): void {
    const toc = readToc(this.#head)
    if (toc === 'more') {
      this.#tryAt = this.#head.length * 2
      return
    }
    if (toc === undefined) {
      this.#unknown = true
      return
    }
    this.#toc = toc
    this.#position = toc.end
    const data = this.#head.subarray(toc.end)
    this.#head = this.#head.subarray(0, toc.end)
    this.#scan(data)
  }

  #scan(chunk: Buffer): void {
    const start = this.#position - this.#rest.length
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    for (;;) {
      const passed = Math.min(this.#skip, bytes.length - at)
      this.#skip -= passed
      at += passed
      const needed = this.#expected === 'block' ? 1 + intLength : intLength
      if (this.#skip > 0 || bytes.length - at < needed) break
      this.#take(bytes, at, start + at)
      at += needed
    }
    this.#rest = Buffer.from(bytes.subarray(at))
    this.#position = start + bytes.length
  }

  #take(bytes: Buffer, at: number, position: number): void {
    if (this.#expected === 'block') {
      this.#found.set(bytes.readUInt32LE(at + 2), position)
      this.#inLargeObjects = bytes[at] === blockOfLargeObjects
      this.#expected = this.#inLargeObjects ? 'oid' : 'length'
      return
    }
    const value = bytes.readUInt32LE(at + 1)
    if (this.#expected === 'oid') this.#expected = value === 0 ? 'block' : 'length'
    else if (value === 0) this.#expected = this.#inLargeObjects ? 'oid' : 'block'
    else this.#skip = value
  }
}
