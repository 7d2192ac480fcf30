import { open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createFileDurably,
  ensureDirectory,
  isTemporaryName,
  writeFileDurably,
} from '@securyflex/shared/files'
import type { KeyRecord } from '@securyflex/shared/keys'
import { Batch, ifThere } from './batch.ts'
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
    await inSpool(async () => {
      await ensureDirectory(join(this.#directory, batchesName))
      await ensureDirectory(join(this.#directory, 'streams'))
      await writeFileDurably(join(this.#directory, factsName), JSON.stringify(facts))
    })
  }

  /** Undefined if the attempt was removed. */
  async facts(): Promise<AttemptFacts | undefined> {
    const text = await ifThere(() => readFile(join(this.#directory, factsName), 'utf8'))
    return text === undefined ? undefined : (JSON.parse(text) as AttemptFacts)
  }

  /** The batch of this number; batches count from 1. */
  batch(number: number): Batch {
    return new Batch(join(this.#directory, batchesName, String(number).padStart(6, '0')))
  }

  async *batches(): AsyncGenerator<Batch> {
    for (const name of (await ifThere(() => readdir(join(this.#directory, batchesName)))) ?? []) {
      yield new Batch(join(this.#directory, batchesName, name))
    }
  }

  /**
   * Notes that `destination` gets nothing more of this attempt, and why. The first reason stays.
   * An attempt that was removed needs no note.
   */
  async drop(destination: string, reason: string): Promise<void> {
    const path = join(this.#directory, `${droppedPrefix}${destination}`)
    await ifThere(() => inSpool(() => createFileDurably(path, reason)))
  }

  /** The destinations that were dropped, with the reasons. */
  async dropped(): Promise<Map<string, string>> {
    const names = (await ifThere(() => readdir(this.#directory))) ?? []
    const reasons = new Map<string, string>()
    for (const name of names.filter((name) => name.startsWith(droppedPrefix) && !isTemporaryName(name))) {
      const reason = await ifThere(() => readFile(join(this.#directory, name), 'utf8'))
      reasons.set(name.slice(droppedPrefix.length), reason ?? '')
    }
    return reasons
  }

  /**
   * Notes that `destination` did not take something, and gives since when it has taken nothing, as all who noted it
   * know: {@link forgetTrouble} begins anew.
   */
  async noteTrouble(destination: string, now: Date): Promise<Date> {
    const path = join(this.#directory, `${troublePrefix}${destination}`)
    await ifThere(() => inSpool(() => createFileDurably(path, now.toISOString())))
    const since = await ifThere(() => readFile(path, 'utf8'))
    return since === undefined ? now : new Date(since)
  }

  /** Notes that `destination` took something. */
  async forgetTrouble(destination: string): Promise<void> {
    await inSpool(() => rm(join(this.#directory, `${troublePrefix}${destination}`), { force: true }))
  }

  /** Opens the list of stream `kind` for appending; entries are held until {@link StreamList.close}. */
  async writeStreamList(kind: string): Promise<StreamList> {
    return new StreamList(await open(join(this.#directory, 'streams', `${kind}.list`), 'wx', 0o600))
  }

  /**
   * The segments of stream `kind` in order.
   * @throws SPOOL_DAMAGED if the list is gone or ends in the middle of an entry
   */
  async *readStreamList(kind: string): AsyncGenerator<StreamEntry> {
    const path = join(this.#directory, 'streams', `${kind}.list`)
    const file = await ifThere(() => open(path, 'r'))
    if (file === undefined) throw damaged(path)
    let rest = Buffer.alloc(0)
    for await (const chunk of file.createReadStream()) {
      const bytes = Buffer.concat([rest, chunk as Buffer])
      const whole = bytes.length - (bytes.length % streamEntryLength)
      for (let at = 0; at < whole; at += streamEntryLength) {
        yield { id: bytes.subarray(at, at + 32), plainLength: bytes.readUInt32BE(at + 32) }
      }
      rest = bytes.subarray(whole)
    }
    if (rest.length > 0) throw damaged(path)
  }
}

/** The order of a stream's segments as the dump writes it down. */
export class StreamList {
  readonly #file: Awaited<ReturnType<typeof open>>

  constructor(file: Awaited<ReturnType<typeof open>>) {
    this.#file = file
  }

  async append(entry: StreamEntry): Promise<void> {
    const bytes = Buffer.alloc(streamEntryLength)
    entry.id.copy(bytes, 0)
    bytes.writeUInt32BE(entry.plainLength, 32)
    await inSpool(() => this.#file.appendFile(bytes))
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}
