/** Where an entry of a table of contents says where its data is. */
interface TocEntry {
  readonly dumpId: number
  /** Position of its flag; the offset follows it. */
  readonly at: number
  /** The offset is not known: pg_dump wrote to a pipe. */
  readonly unset: boolean
}

/** What stands before the data of a custom archive. */
export interface Toc {
  /** Bytes of an integer and of an offset; a sign precedes the former, a flag the latter. */
  readonly intSize: number
  readonly offsetSize: number
  readonly entries: readonly TocEntry[]
  /** Where the data begins. */
  readonly end: number
}

/** Archive versions that this reads, as major * 100 + minor: those of pg_dump 12 to 18. */
const oldest = 114
const newest = 116
const custom = 1
/** Flag of an offset that is not known (pg_backup_archiver.h, K_OFFSET_POS_NOT_SET). */
const offsetNotSet = 1

/**
 * Reads the table of contents of a custom archive of pg_dump (pg_backup_archiver.c, ReadHead and ReadToc).
 * @returns `more` if `bytes` end within it; undefined for a version that is not known
 */
export function readToc(bytes: Buffer): Toc | 'more' | undefined {
  try {
    return parse(new Cursor(bytes))
  } catch (error) {
    if (error instanceof EndOfBytes) return 'more'
    throw error
  }
}

function parse(cursor: Cursor): Toc | undefined {
  if (cursor.take(5).toString('latin1') !== 'PGDMP') return undefined
  const version = cursor.byte() * 100 + cursor.byte()
  cursor.byte()
  const [intSize, offsetSize, format] = [cursor.byte(), cursor.byte(), cursor.byte()]
  if (version < oldest || version > newest || format !== custom || intSize !== 4 || offsetSize !== 8)
    return undefined
  // The compression: a level, since 1.15 the algorithm.
  if (version >= 115) cursor.byte()
  else cursor.int()
  // The time of the dump in seven parts; then the database and the versions of server and pg_dump.
  for (let part = 0; part < 7; part += 1) cursor.int()
  for (let text = 0; text < 3; text += 1) cursor.text()
  const count = cursor.int()
  const entries: TocEntry[] = []
  for (let index = 0; index < count; index += 1) entries.push(parseEntry(cursor, version, offsetSize))
  return { intSize, offsetSize, entries, end: cursor.at }
}

function parseEntry(cursor: Cursor, version: number, offsetSize: number): TocEntry {
  const dumpId = cursor.int()
  // Whether it had data.
  cursor.int()
  // The oids of its catalogue and of itself, its tag and description.
  for (let text = 0; text < 4; text += 1) cursor.text()
  // Its section.
  cursor.int()
  // How to define, drop and copy it; its schema, tablespace and access method.
  for (let text = 0; text < 6; text += 1) cursor.text()
  if (version >= 116) cursor.int()
  // Its owner, and an old word about oids.
  cursor.text()
  cursor.text()
  // What it depends on, ended by a text that is none.
  while (cursor.text()) continue
  const at = cursor.at
  const unset = cursor.byte() === offsetNotSet
  cursor.take(offsetSize)
  return { dumpId, at, unset }
}

class EndOfBytes extends Error {}

/** Reads on, and throws EndOfBytes there. */
class Cursor {
  at = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  byte(): number {
    return this.take(1).readUInt8()
  }

  /** A sign and four bytes, the lowest first. */
  int(): number {
    const negative = this.byte() !== 0
    const value = this.take(4).readUInt32LE()
    return negative ? -value : value
  }

  /** Passes a text by; false for one that is none. */
  text(): boolean {
    const length = this.int()
    if (length > 0) this.take(length)
    return length >= 0
  }

  take(length: number): Buffer {
    if (this.at + length > this.#bytes.length) throw new EndOfBytes()
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }
}
