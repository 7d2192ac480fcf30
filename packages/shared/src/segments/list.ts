/** One entry of a segment list; docs/format.md, "Segment lists". */
export interface ListEntry {
  /** 32 bytes. */
  readonly id: Buffer
  readonly plainLength: number
  /** Of the whole stored object, at one destination. */
  readonly sealedLength: number
  /** SHA-256 of the stored object, at one destination. */
  readonly sealedHash: Buffer
}

export const listEntryLength = 72

export function encodeEntry(entry: ListEntry): Buffer {
  const bytes = Buffer.alloc(listEntryLength)
  entry.id.copy(bytes, 0)
  bytes.writeUInt32BE(entry.plainLength, 32)
  bytes.writeUInt32BE(entry.sealedLength, 36)
  entry.sealedHash.copy(bytes, 40)
  return bytes
}

/** The entry that begins at `offset`; it shares memory with `bytes`. */
export function decodeEntry(bytes: Buffer, offset: number): ListEntry {
  return {
    id: bytes.subarray(offset, offset + 32),
    plainLength: bytes.readUInt32BE(offset + 32),
    sealedLength: bytes.readUInt32BE(offset + 36),
    sealedHash: bytes.subarray(offset + 40, offset + listEntryLength),
  }
}

/**
 * Many entries, found by id. It keeps the packed bytes and one integer an entry, not objects:
 * a terabyte's list is 262,000 entries, 20 MB here.
 */
export class SegmentIndex {
  readonly #chunks: Buffer[] = []
  #count = 0
  #table = new Int32Array(1024).fill(-1)
  /** A small database's index, of which a prune reads one a backup, is no larger than it must be. */
  readonly #perChunk = 512

  get size(): number {
    return this.#count
  }

  /** Adds `entry` unless its id is here. Returns whether it was new. */
  add(entry: ListEntry): boolean {
    if (this.#slot(entry.id).found) return false
    if ((this.#count + 1) * 2 > this.#table.length) this.#grow()
    const within = this.#count % this.#perChunk
    if (within === 0) this.#chunks.push(Buffer.alloc(this.#perChunk * listEntryLength))
    encodeEntry(entry).copy(this.#chunks.at(-1) as Buffer, within * listEntryLength)
    this.#table[this.#slot(entry.id).slot] = this.#count
    this.#count += 1
    return true
  }

  get(id: Buffer): ListEntry | undefined {
    const { slot, found } = this.#slot(id)
    return found ? this.#at(this.#table[slot] as number) : undefined
  }

  has(id: Buffer): boolean {
    return this.#slot(id).found
  }

  /** The entry's place in the order of addition; undefined if it is not here. */
  indexOf(id: Buffer): number | undefined {
    const { slot, found } = this.#slot(id)
    return found ? this.#table[slot] : undefined
  }

  *[Symbol.iterator](): Generator<ListEntry> {
    for (let at = 0; at < this.#count; at++) yield this.#at(at)
  }

  #at(index: number): ListEntry {
    const chunk = this.#chunks[Math.floor(index / this.#perChunk)] as Buffer
    return decodeEntry(chunk, (index % this.#perChunk) * listEntryLength)
  }

  /** Open addressing; ids are digests, so their first bytes are hash enough. */
  #slot(id: Buffer): { slot: number; found: boolean } {
    const mask = this.#table.length - 1
    for (let slot = id.readUInt32LE(0) & mask; ; slot = (slot + 1) & mask) {
      const index = this.#table[slot] as number
      if (index < 0) return { slot, found: false }
      if (this.#at(index).id.equals(id)) return { slot, found: true }
    }
  }

  #grow(): void {
    this.#table = new Int32Array(this.#table.length * 2).fill(-1)
    for (let index = 0; index < this.#count; index++) {
      this.#table[this.#slot(this.#at(index).id).slot] = index
    }
  }
}
