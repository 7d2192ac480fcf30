import { Cutter, type Identity, type SegmentIndex } from '@securyflex/shared/segments'
import {
  admit,
  type Attempt,
  type Batch,
  batchTarget,
  type BatchWriter,
  type BatchRecord,
  reservationOf,
  type Spool,
  type SpoolCipher,
  type StreamList,
} from '@securyflex/shared/spool'

/** What a stream came to. */
export interface WrittenStream {
  readonly kind: string
  readonly bytes: number
  /** Hex; docs/format.md, "Keys". */
  readonly digest: string
  readonly segments: number
}

/** What a destination has already. */
export type KnownSegments = Pick<SegmentIndex, 'has'>

export interface DumpWriterOptions {
  readonly spool: Spool
  readonly attempt: Attempt
  readonly identity: Identity
  readonly cipher: SpoolCipher
  readonly destinations: readonly string[]
  /** What each destination holds already and may be named, in the same order. */
  readonly references: readonly (KnownSegments | undefined)[]
  readonly signal: AbortSignal
  /** Called with each batch that is whole. */
  readonly onBatch: (number: number) => Promise<void>
  /** Called while a batch waits for room in the spool; throws to end the attempt. */
  readonly whileWaiting: () => Promise<void>
}

/** Cuts streams into segments, keeps what some destination lacks, and lays it into the spool in batches. */
export class DumpWriter {
  readonly #options: DumpWriterOptions
  /** Segments of this run that are in a batch already. */
  readonly #batched = new Set<string>()
  #number = 0
  #newBytes = 0
  #bytes = 0
  #open: OpenBatch | undefined

  constructor(options: DumpWriterOptions) {
    this.#options = options
  }

  /** Batches that were begun. */
  get batches(): number {
    return this.#number
  }

  /** Bytes of segments that some destination lacked. */
  get newBytes(): number {
    return this.#newBytes
  }

  /** Bytes of all streams so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** Takes a stream from `chunks` to its end. */
  async write(
    kind: string,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<WrittenStream> {
    const { identity, attempt } = this.#options
    using cutter = new Cutter(identity.gearTable)
    const digest = identity.createDigest()
    const list = await attempt.writeStreamList(kind)
    let [bytes, segments] = [0, 0]
    try {
      const take = async (plain: Buffer) => {
        bytes += plain.length
        segments += 1
        await this.#take(list, plain)
      }
      for await (const chunk of chunks) {
        digest.update(chunk)
        for (const plain of cutter.push(chunk)) await take(plain)
      }
      const last = cutter.end()
      if (last !== undefined) await take(last)
      await list.finish()
    } finally {
      await list.close()
    }
    return { kind, bytes, digest: digest.digest('hex'), segments }
  }

  /** Publishes the last batch. */
  async finish(): Promise<void> {
    await this.#publish()
  }

  /** Ends a batch that will never be whole. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open?.writer.abandon()
  }

  async #take(list: StreamList, plain: Buffer): Promise<void> {
    const { identity, references } = this.#options
    const id = identity.identify(plain)
    this.#bytes += plain.length
    await list.append({ id, plainLength: plain.length })
    const destinations = references.flatMap((index, destination) =>
      index?.has(id) === true ? [] : [destination],
    )
    const name = id.toString('latin1')
    if (destinations.length === 0 || this.#batched.has(name)) return
    this.#batched.add(name)
    this.#newBytes += plain.length
    const record = {
      id,
      plainLength: plain.length,
      payload: { compression: 0 as const, bytes: plain },
      destinations,
    }
    await this.#append(record)
  }

  async #append(record: BatchRecord): Promise<void> {
    this.#open ??= await this.#begin()
    await this.#open.writer.write(record)
    if (this.#open.writer.bytes >= batchTarget) await this.#publish()
  }

  async #begin(): Promise<OpenBatch> {
    const { spool, attempt, signal, whileWaiting, cipher } = this.#options
    this.#number += 1
    const batch = attempt.batch(this.#number)
    await admit(spool, batch, { signal, whileWaiting })
    return { batch, writer: await batch.begin('raw', cipher) }
  }

  async #publish(): Promise<void> {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    await open.writer.publish()
    await open.batch.reserve(reservationOf(open.writer.bytes))
    await this.#options.onBatch(this.#number)
  }
}

/** The batch that is being filled. */
interface OpenBatch {
  readonly batch: Batch
  readonly writer: BatchWriter
}
