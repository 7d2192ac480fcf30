import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { isTemporaryName } from '@securyflex/shared/files'
import type { KeyRecord } from '@securyflex/shared/keys'
import { Batch } from './batch.ts'
import { SpoolFile } from './file.ts'
import {
  createNote,
  ifThere,
  longestNote,
  makeDirectory,
  namesIn,
  readNote,
  turn,
  writeNote,
} from './notes.ts'
import { damaged } from './records.ts'
import { inSpool } from './trouble.ts'

/** What every step of an attempt must know and no job should carry. */
export interface AttemptFacts {
  readonly run: string
  readonly attempt: string
  /** The record of the key that the attempt seals with; null without encryption. Not secret. */
  readonly key: KeyRecord | null
  /** Names, in the order that batch records refer to. */
  readonly destinations: readonly string[]
  /** Process id of the server's process that holds the snapshot: whoever takes the run over ends it. */
  readonly backend?: number
}

/** A segment's place in a stream: its id and plain length. */
export interface StreamEntry {
  /** 32 bytes. */
  readonly id: Buffer
  readonly plainLength: number
}

const streamEntryLength = 36
/** A list is read in pieces of so many bytes, of which each is whole entries. */
const listChunk = Math.floor(longestNote / streamEntryLength) * streamEntryLength
/** Not the checksum of zeros, which is what a power cut leaves. */
const noEntries = 1
const factsName = 'attempt.json'
const batchesName = 'batches'
const droppedPrefix = 'failed.'
const troublePrefix = 'trouble.'

/** One execution of a dump, in the spool. */
export class Attempt {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  async begin(facts: AttemptFacts): Promise<void> {
    await inSpool(() => {
      makeDirectory(join(this.#directory, batchesName))
      makeDirectory(join(this.#directory, 'streams'))
      writeNote(join(this.#directory, factsName), JSON.stringify(facts))
    })
  }

  /** Undefined if the attempt was removed. @throws SPOOL_DAMAGED */
  async facts(): Promise<AttemptFacts | undefined> {
    const path = join(this.#directory, factsName)
    const text = await ifThere(() => readNote(path))
    try {
      return text === undefined ? undefined : (JSON.parse(text.toString()) as AttemptFacts)
    } catch (cause) {
      throw damaged(path, cause)
    }
  }

  /** The batch of this number; batches count from 1. */
  batch(number: number): Batch {
    return new Batch(join(this.#directory, batchesName, String(number).padStart(6, '0')))
  }

  async *batches(): AsyncGenerator<Batch> {
    for (const name of (await ifThere(() => namesIn(join(this.#directory, batchesName)))) ?? []) {
      await turn()
      yield new Batch(join(this.#directory, batchesName, name))
    }
  }

  /**
   * Notes that `destination` gets nothing more of this attempt, and why. The first reason stays.
   * An attempt that was removed needs no note.
   */
  async drop(destination: string, reason: string): Promise<void> {
    const path = join(this.#directory, `${droppedPrefix}${destination}`)
    await ifThere(() => inSpool(() => createNote(path, reason)))
  }

  /** The destinations that were dropped, with the reasons. */
  async dropped(): Promise<Map<string, string>> {
    const names = (await ifThere(() => namesIn(this.#directory))) ?? []
    const reasons = new Map<string, string>()
    for (const name of names.filter((name) => name.startsWith(droppedPrefix) && !isTemporaryName(name))) {
      const reason = await ifThere(() => readNote(join(this.#directory, name)))
      reasons.set(name.slice(droppedPrefix.length), reason?.toString() ?? '')
    }
    return reasons
  }

  /**
   * Notes that `destination` did not take something, and gives since when it has taken nothing, as all who noted it
   * know: {@link forgetTrouble} begins anew.
   */
  async noteTrouble(destination: string, now: Date): Promise<Date> {
    const path = join(this.#directory, `${troublePrefix}${destination}`)
    await ifThere(() => inSpool(() => createNote(path, now.toISOString())))
    const since = new Date((await ifThere(() => readNote(path)))?.toString() ?? '')
    // Gone, or what a power cut left.
    return Number.isNaN(since.getTime()) ? now : since
  }

  /** Notes that `destination` took something. */
  async forgetTrouble(destination: string): Promise<void> {
    await inSpool(() => {
      rmSync(join(this.#directory, `${troublePrefix}${destination}`), { force: true })
    })
  }

  /** Opens the list of stream `kind` for appending; it is whole after {@link StreamList.finish}. */
  async writeStreamList(kind: string): Promise<StreamList> {
    return inSpool(() => new StreamList(SpoolFile.create(join(this.#directory, 'streams', `${kind}.list`))))
  }

  /**
   * The segments of stream `kind` in order.
   * @throws SPOOL_DAMAGED if the list is gone or, after what is there of it, if it is not whole
   */
  async *readStreamList(kind: string): AsyncGenerator<StreamEntry> {
    const path = join(this.#directory, 'streams', `${kind}.list`)
    const file = await ifThere(() => SpoolFile.open(path))
    if (file === undefined) throw damaged(path)
    let checksum = noEntries
    try {
      for (let length = listChunk; length === listChunk;) {
        const bytes = Buffer.allocUnsafe(listChunk)
        length = await file.fill(bytes)
        for (let at = 0; at + streamEntryLength <= length; at += streamEntryLength) {
          const entry = bytes.subarray(at, at + streamEntryLength)
          const plainLength = entry.readUInt32BE(32)
          if (plainLength === 0) {
            if (!entry.equals(endOf(checksum))) throw damaged(path)
            return
          }
          checksum = crc32(entry, checksum)
          yield { id: entry.subarray(0, 32), plainLength }
        }
      }
      throw damaged(path)
    } finally {
      await file.close()
    }
  }
}

/** What stands behind the last entry of a list: a segment of no length, and the checksum of all before. */
function endOf(checksum: number): Buffer {
  const bytes = Buffer.alloc(streamEntryLength)
  bytes.writeUInt32BE(checksum)
  return bytes
}

/** The order of a stream's segments as the dump writes it down. */
export class StreamList {
  readonly #file: SpoolFile
  #checksum = noEntries

  constructor(file: SpoolFile) {
    this.#file = file
  }

  async append(entry: StreamEntry): Promise<void> {
    const bytes = Buffer.alloc(streamEntryLength)
    entry.id.copy(bytes, 0)
    bytes.writeUInt32BE(entry.plainLength, 32)
    this.#checksum = crc32(bytes, this.#checksum)
    await inSpool(() => this.#file.append([bytes]))
  }

  /** Makes the list whole. */
  async finish(): Promise<void> {
    await inSpool(() => this.#file.append([endOf(this.#checksum)]))
    await this.close()
  }

  /** Does nothing if the list is closed already. */
  async close(): Promise<void> {
    await this.#file.close()
  }
}
