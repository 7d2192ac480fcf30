import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { Cutter, encodeEntry, type ListEntry, type Sealer, SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { checkPresence } from './checking.ts'
import { encodeDocument } from './document.ts'
import { layout } from './layout.ts'
import { type ListSegment, type Manifest, manifestSchema, type ManifestStream } from './manifest.ts'
import { type OpenManifest, openManifest } from './open-manifest.ts'
import { BackupReader } from './reading.ts'
import { renewLocks } from './renewing.ts'
import type { Writing } from './repository.ts'
import { storeSegment } from './segment-store.ts'

/** A stream as the dump left it, with its segments as this store holds them. */
export interface DumpedStream extends Pick<ManifestStream, 'kind' | 'bytes' | 'digest' | 'segments'> {
  readonly entries: () => AsyncIterable<ListEntry>
}

/** What sealing adds to a manifest's facts. */
type Facts = Omit<
  Manifest,
  'format' | 'kind' | 'streams' | 'stored' | 'predecessor' | 'key' | 'installation' | 'sealedAt'
>

export interface Sealing {
  readonly storage: Storage
  readonly writing: Writing
  readonly sealer: Sealer
  readonly keys: KeyRing
  readonly facts: Facts
  readonly streams: readonly DumpedStream[]
  /** What the run stored here so far. */
  readonly stored: { readonly segments: number; readonly bytes: number }
  /** The backup that this one builds upon, and everything it names. */
  readonly predecessor: { readonly opened: OpenManifest; readonly index: SegmentIndex } | undefined
  /** What this backup names and the one before does not was stored after this: {@link oldestAllowed}; default: ever. */
  readonly oldest?: Date
  readonly now: Date
  readonly signal: AbortSignal
}

/**
 * Makes a backup exist: stores the lists, checks that every segment is there, renews what locks them, writes the
 * manifest last and reads it back. Sealing the same attempt again finds the manifest and is done.
 * @throws SEGMENT_MISSING, MANIFEST_DAMAGED, or what the store says
 */
export async function sealBackup(sealing: Sealing): Promise<OpenManifest> {
  const { storage, facts, keys } = sealing
  const name = layout.manifest(facts.source, facts.run)
  const index = new SegmentIndex()
  const lists = new ListWriter(sealing, index)
  const streams: ManifestStream[] = []
  for (const stream of sealing.streams) streams.push(await writeList(lists, stream, index))
  // What no reader could read must not be written: an unreadable manifest stops all pruning of its source.
  const manifest = manifestSchema.parse(compose(sealing, streams, lists.stored))
  const reader = new BackupReader(storage, { manifest, key: sealing.writing.key })
  await refuseUnkept(sealing, reader, index)
  await renewLocks({ ...sealing, source: facts.source, index })
  const document = encodeDocument(name, manifest, sealing.writing.key)
  sealing.signal.throwIfAborted()
  await storage.putIfAbsent(name, document)
  const stored = await storage.get(name)
  if (stored === undefined) {
    throw new BackupError('MANIFEST_DAMAGED', `${storage.shown} did not keep ${name}.`)
  }
  const opened = await openManifest(name, stored, keys)
  if (opened.manifest.attempt !== facts.attempt) {
    throw new BackupError('MANIFEST_DAMAGED', `${name} was written by another attempt of this run.`)
  }
  return opened
}

/**
 * Makes sure that everything is there, and that no prune takes it for old. A store that did not keep what it was given
 * again shows the object that was there before.
 */
async function refuseUnkept(sealing: Sealing, reader: BackupReader, index: SegmentIndex): Promise<void> {
  const { storage, oldest = new Date(0), predecessor, signal } = sealing
  const unkept: string[] = []
  await checkPresence(storage, reader, index, signal, {
    onListed(id, { key, modified }) {
      if (modified < oldest && predecessor?.index.has(id) !== true) unkept.push(key)
    },
  })
  const [first] = unkept
  if (first === undefined) return
  throw new BackupError('SEGMENT_MISSING', `${storage.shown} did not keep what was stored as ${first}.`, {
    hint: 'An older object lies there still, which the next run stores again; see what that store does with writes.',
  })
}

function compose(
  { facts, writing, predecessor, now, stored }: Sealing,
  streams: ManifestStream[],
  lists: Stored,
): Manifest {
  return {
    format: 1,
    kind: 'manifest',
    ...facts,
    installation: writing.installation,
    sealedAt: now.toISOString(),
    key: writing.key?.record ?? null,
    streams,
    stored: { segments: stored.segments + lists.segments, bytes: stored.bytes + lists.bytes },
    predecessor:
      predecessor === undefined
        ? null
        : { run: predecessor.opened.manifest.run, hash: predecessor.opened.hash },
  }
}

async function writeList(
  lists: ListWriter,
  stream: DumpedStream,
  index: SegmentIndex,
): Promise<ManifestStream> {
  const { kind, bytes, digest, segments } = stream
  lists.begin()
  let count = 0
  for await (const entry of stream.entries()) {
    index.add(entry)
    count += 1
    await lists.append(entry)
  }
  if (count !== segments) {
    throw new BackupError(
      'SPOOL_DAMAGED',
      `The list of the ${kind} stream has ${String(count)} of ${String(segments)} segments.`,
    )
  }
  return { kind, bytes, digest, segments, list: await lists.end() }
}

interface Stored {
  segments: number
  bytes: number
}

/** Cuts lists like any stream and stores what the store lacks of them. */
class ListWriter {
  readonly stored: Stored = { segments: 0, bytes: 0 }
  readonly #sealing: Sealing
  readonly #index: SegmentIndex
  #cutter: Cutter
  #list: ListSegment[] = []

  constructor(sealing: Sealing, index: SegmentIndex) {
    this.#sealing = sealing
    this.#index = index
    this.#cutter = new Cutter(sealing.sealer.identity.gearTable)
  }

  begin(): void {
    this.#cutter = new Cutter(this.#sealing.sealer.identity.gearTable)
    this.#list = []
  }

  async append(entry: ListEntry): Promise<void> {
    for (const plain of this.#cutter.push(encodeEntry(entry))) await this.#store(plain)
  }

  async end(): Promise<ListSegment[]> {
    const last = this.#cutter.end()
    if (last !== undefined) await this.#store(last)
    return this.#list
  }

  async #store(plain: Buffer): Promise<void> {
    const { sealer, predecessor } = this.#sealing
    const id = sealer.identity.identify(plain)
    const entry = predecessor?.index.get(id) ?? this.#index.get(id) ?? (await this.#storeNew(id, plain))
    this.#index.add(entry)
    this.#list.push({
      id: entry.id.toString('hex'),
      length: entry.plainLength,
      sealed: entry.sealedLength,
      hash: entry.sealedHash.toString('hex'),
    })
  }

  async #storeNew(id: Buffer, plain: Buffer): Promise<ListEntry> {
    const { storage, facts, sealer } = this.#sealing
    // Lists are digests and do not compress.
    const payload = { compression: 0, bytes: plain } as const
    const cipher = facts.options.cipher as 'none' | 'aes-256-gcm' | 'aes-256-cbc'
    const sealed = sealer.seal(id, payload, plain.length, cipher)
    const entry = await storeSegment(storage, facts.source, sealer, { id, plainLength: plain.length, sealed })
    if (entry.fresh) {
      this.stored.segments += 1
      this.stored.bytes += entry.sealedLength
    }
    return entry
  }
}
