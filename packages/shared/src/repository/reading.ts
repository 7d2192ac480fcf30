import { asBackupError, BackupError } from '@securyflex/shared/errors'
import {
  decodeEntry,
  type ListEntry,
  listEntryLength,
  Sealer,
  SegmentIndex,
} from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import type { ListSegment, Manifest, ManifestStream, StreamKind } from './manifest.ts'
import type { OpenManifest } from './open-manifest.ts'
import { readSegment } from './segment-store.ts'
import { findSwap } from './swapped.ts'

/** Segments that are fetched ahead of the one that is consumed. */
const ahead = 3

/** A backup at one store, opened for reading. */
export class BackupReader {
  readonly manifest: Manifest
  readonly sealer: Sealer
  readonly #storage: Storage

  constructor(storage: Storage, { manifest, key }: Pick<OpenManifest, 'manifest' | 'key'>) {
    this.manifest = manifest
    this.sealer = new Sealer(key)
    this.#storage = storage
  }

  /** The stream of `kind`; undefined if the backup has none. */
  stream(kind: StreamKind): ManifestStream | undefined {
    return this.manifest.streams.find((stream) => stream.kind === kind)
  }

  /**
   * The segments of a stream, in order.
   * @param read gives the plain bytes of each segment of the list; default: as they are at this store
   */
  async *entries(
    stream: ManifestStream,
    read: (entry: ListEntry) => Promise<Buffer> = (entry) => this.segment(entry),
  ): AsyncGenerator<ListEntry> {
    let rest = Buffer.alloc(0)
    for (const segment of stream.list) {
      rest = Buffer.concat([rest, await read(listEntryOf(segment))])
      const whole = rest.length - (rest.length % listEntryLength)
      for (let at = 0; at < whole; at += listEntryLength) yield decodeEntry(rest, at)
      rest = rest.subarray(whole)
    }
    if (rest.length > 0)
      throw streamDamaged(this.manifest, stream.kind, 'its list of segments ends in the middle')
  }

  /** Every segment that the backup names, those of the lists included, each once. */
  async index(): Promise<SegmentIndex> {
    const index = new SegmentIndex()
    for (const stream of this.manifest.streams) {
      for (const segment of stream.list) index.add(listEntryOf(segment))
      for await (const entry of this.entries(stream)) index.add(entry)
    }
    return index
  }

  /** The bytes of a stream, checked segment by segment and, at the end, as a whole. */
  async *read(stream: ManifestStream): AsyncGenerator<Buffer> {
    const digest = this.sealer.identity.createDigest()
    let [bytes, segments] = [0, 0]
    for await (const plain of this.#fetchAhead(this.entries(stream))) {
      digest.update(plain)
      bytes += plain.length
      segments += 1
      yield plain
    }
    if (bytes !== stream.bytes || segments !== stream.segments || digest.digest('hex') !== stream.digest) {
      throw streamDamaged(this.manifest, stream.kind, 'its segments do not add up to what was dumped')
    }
  }

  /** The whole of a small stream. */
  async readAll(stream: ManifestStream): Promise<Buffer> {
    const parts: Buffer[] = []
    for await (const part of this.read(stream)) parts.push(part)
    return Buffer.concat(parts)
  }

  /** The plain bytes of a segment. @throws what readSegment throws; a swap is named for what it is */
  async segment(entry: ListEntry): Promise<Buffer> {
    try {
      return await this.#readSegment(entry)
    } catch (error) {
      const { code } = asBackupError(error)
      if (code !== 'SEGMENT_TAMPERED' && code !== 'SEGMENT_TRUNCATED') throw error
      throw (await findSwap(this.#storage, this.manifest.source, entry, this.#named())) ?? error
    }
  }

  #readSegment(entry: ListEntry): Promise<Buffer> {
    return readSegment(this.#storage, this.manifest.source, this.sealer, entry)
  }

  /** Everything that the backup names, read without looking for swaps. */
  async *#named(): AsyncGenerator<ListEntry> {
    for (const stream of this.manifest.streams) {
      yield* stream.list.map(listEntryOf)
      yield* this.entries(stream, (entry) => this.#readSegment(entry))
    }
  }

  async *#fetchAhead(entries: AsyncGenerator<ListEntry>): AsyncGenerator<Buffer> {
    const pending: Promise<Buffer>[] = []
    try {
      for await (const entry of entries) {
        const fetched = this.segment(entry)
        // A failure is heard when its turn comes; until then it must not count as unhandled.
        fetched.catch(() => undefined)
        pending.push(fetched)
        if (pending.length > ahead) yield await (pending.shift() as Promise<Buffer>)
      }
      while (pending.length > 0) yield await (pending.shift() as Promise<Buffer>)
    } finally {
      await Promise.allSettled(pending)
    }
  }
}

export function listEntryOf(segment: ListSegment): ListEntry {
  return {
    id: Buffer.from(segment.id, 'hex'),
    plainLength: segment.length,
    sealedLength: segment.sealed,
    sealedHash: Buffer.from(segment.hash, 'hex'),
  }
}

function streamDamaged(manifest: Manifest, kind: string, why: string): BackupError {
  return new BackupError('STREAM_DAMAGED', `The ${kind} stream of ${manifest.run} is damaged: ${why}.`, {
    hint: 'Use another backup of this source: npx --no securyflex-backup list',
  })
}
