import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { temporaryName } from '@securyflex/shared/files'
import { decodeEntry, encodeEntry, type ListEntry, listEntryLength } from '@securyflex/shared/segments'
import { removeFile } from './file.ts'
import { ifThere, makeDirectory, namesIn, readNote, removeDirectory, writeNote } from './notes.ts'
import {
  type BatchRecord,
  damaged,
  readRecords,
  recordOverhead,
  RecordWriter,
  type SpoolCipher,
} from './records.ts'
import { inSpool } from './trouble.ts'

/** How far a batch has come. `gone`: its attempt is over and removed. `freed`: every destination is done. */
export type BatchState = 'raw' | 'packed' | 'sealed' | 'freed' | 'gone'
/** The states that are files of records. */
export type BatchFile = 'raw' | 'packed' | 'sealed'

/** A batch is closed once it holds this many bytes of segments. */
export const batchTarget = 32 * 1024 * 1024
/** A closed batch is at most the target and one more segment of 8 MiB, with its records' headers. */
export const largestBatch = batchTarget + 8 * 1024 * 1024 + 64 * (recordOverhead + 128)
/** raw, packed and sealed, each at its worst. */
export const reservationOf = (bytes: number) => 3 * bytes

const reservationName = 'reservation'
const doneName = (destination: string) => `done.${destination}`

/**
 * One batch in the spool: a directory in which the furthest state is a file's name. Every transition writes
 * a name of its own first and renames, so a step that runs twice, also at the same time, does no harm.
 */
export class Batch {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  get directory(): string {
    return this.#directory
  }

  /** Makes the directory and books `bytes` of the spool's limit. */
  async reserve(bytes: number): Promise<void> {
    await inSpool(() => {
      makeDirectory(this.#directory)
      writeNote(join(this.#directory, reservationName), String(bytes))
    })
  }

  /** Removes the batch with all that it has and booked. */
  remove(): void {
    removeDirectory(this.#directory)
  }

  /** Bytes booked; 0 once the batch is freed. */
  async reserved(): Promise<number> {
    const text = await ifThere(() => readNote(join(this.#directory, reservationName)))
    // A power cut may have left something else than a number.
    return Number(text?.toString() ?? 0) || 0
  }

  /** Whether the batch gave its room back for good; one that is only being made books soon. */
  async isFreed(): Promise<boolean> {
    const names = (await ifThere(() => namesIn(this.#directory))) ?? []
    return !names.includes(reservationName) && names.some((name) => name.startsWith(doneName('')))
  }

  async state(): Promise<BatchState> {
    const names = await ifThere(() => namesIn(this.#directory))
    if (names === undefined) return 'gone'
    if (!names.includes(reservationName)) return 'freed'
    return (['sealed', 'packed'] as const).find((state) => names.includes(state)) ?? 'raw'
  }

  /** Begins the file of state `to`; nobody sees it before it is published. */
  async begin(to: BatchFile, cipher: SpoolCipher): Promise<BatchWriter> {
    const path = join(this.#directory, to)
    const temporary = temporaryName(path)
    return new BatchWriter(path, temporary, await RecordWriter.create(temporary, cipher))
  }

  /** Takes the batch from one state to the next: `fill` writes the new file, then the old one goes. */
  async advance(
    from: BatchFile,
    to: BatchFile,
    cipher: SpoolCipher,
    fill: (writer: BatchWriter) => Promise<void>,
  ): Promise<void> {
    const writer = await this.begin(to, cipher)
    try {
      await fill(writer)
      await writer.publish()
    } catch (error) {
      await writer.abandon()
      throw error
    }
    await ifThere(() => removeFile(join(this.#directory, from)))
  }

  read(file: BatchFile, cipher: SpoolCipher): AsyncGenerator<BatchRecord> {
    return readRecords(join(this.#directory, file), cipher)
  }

  /** Records what `destination` holds of this batch now. */
  async markDone(destination: string, entries: readonly ListEntry[]): Promise<void> {
    const path = join(this.#directory, doneName(destination))
    const bytes = Buffer.concat(entries.map(encodeEntry))
    await inSpool(() => {
      writeNote(path, Buffer.concat([bytes, checksumOf(bytes)]))
    })
  }

  /**
   * What {@link markDone} recorded; undefined if the destination is not done.
   * @throws SPOOL_DAMAGED
   */
  async doneEntries(destination: string): Promise<ListEntry[] | undefined> {
    const path = join(this.#directory, doneName(destination))
    const content = await ifThere(() => readNote(path))
    if (content === undefined) return undefined
    const bytes = content.subarray(0, -checksumBytes)
    if (!checksumOf(bytes).equals(content.subarray(bytes.length))) throw damaged(path)
    return Array.from({ length: bytes.length / listEntryLength }, (_, index) =>
      decodeEntry(bytes, index * listEntryLength),
    )
  }

  isDone(destination: string): boolean {
    return existsSync(join(this.#directory, doneName(destination)))
  }

  /** Frees the batch's room if each of `destinations` is done. The records of what was done stay. */
  async freeIfDone(destinations: readonly string[]): Promise<void> {
    const names = await ifThere(() => namesIn(this.#directory))
    if (names === undefined || !destinations.every((name) => names.includes(doneName(name)))) return
    // Not what another execution of a step is writing: it is to find its file where it left it.
    await this.#unlink((['raw', 'packed', 'sealed'] as const).filter((file) => names.includes(file)))
    rmSync(join(this.#directory, reservationName), { force: true })
  }

  /** Removes everything but the small files. */
  async empty(): Promise<void> {
    const names = (await ifThere(() => namesIn(this.#directory))) ?? []
    await this.#unlink(names.filter((name) => name !== reservationName && !name.startsWith(doneName(''))))
  }

  async #unlink(names: readonly string[]): Promise<void> {
    for (const name of names) await ifThere(() => removeFile(join(this.#directory, name)))
  }
}

/** A batch's file while it is written, under a name of its own. */
export class BatchWriter {
  readonly #path: string
  readonly #temporary: string
  readonly #records: RecordWriter

  constructor(path: string, temporary: string, records: RecordWriter) {
    this.#path = path
    this.#temporary = temporary
    this.#records = records
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#records.bytes
  }

  async write(record: BatchRecord): Promise<void> {
    await this.#records.write(record)
  }

  /** Makes the file visible, whole. */
  async publish(): Promise<void> {
    await this.#records.finish()
    renameSync(this.#temporary, this.#path)
  }

  async abandon(): Promise<void> {
    await this.#records.close()
    await ifThere(() => removeFile(this.#temporary))
  }
}

const checksumBytes = 4

/** Of what a destination holds; not that of nothing, nor of zeros, which is what a power cut leaves. */
function checksumOf(entries: Buffer): Buffer {
  const bytes = Buffer.alloc(checksumBytes)
  bytes.writeUInt32BE(crc32(entries, 1))
  return bytes
}
