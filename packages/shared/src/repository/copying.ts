import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { discard, type ListEntry, SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { readBackup } from './backups.ts'
import { inParallel } from './in-parallel.ts'
import { layout } from './layout.ts'
import type { Manifest, ManifestStream } from './manifest.ts'
import { predecessorOf } from './predecessor.ts'
import { BackupReader } from './reading.ts'
import { joinRepository } from './repository.ts'
import { sealBackup } from './sealing.ts'
import { noteUnchecked } from './unchecked.ts'
import { longestRun, readSealed, storeSegment, oldestAllowed } from './segment-store.ts'

/** Segments that are carried at a time: each is held in memory. */
const parallel = 3

export interface Copying {
  readonly from: Storage
  readonly to: Storage
  readonly source: string
  readonly run: string
  readonly keys: KeyRing
  /** The configured name, if there is one. */
  readonly installation: string | undefined
  readonly now: Date
  readonly signal: AbortSignal
  /** Told how many bytes have been carried, of how many. */
  readonly onBytes?: (done: number, total: number) => void
}

/** What was carried. */
export interface Copied {
  /** False if the backup was there already. */
  readonly fresh: boolean
  readonly segments: number
  readonly bytes: number
}

/**
 * Makes a backup that one store has exist at another, too. What the other lacks is carried over as it is sealed, and is
 * checked on its way; then it is sealed there, with a manifest of its own. Doing it again goes on where it ended. It does
 * not count as good there before `checkCopy` has read it back.
 * @throws BACKUP_NOT_FOUND, SEGMENT_MISSING and its like, OTHER_INSTALLATION, KEY_MISSING, KEY_WRONG, what the stores say
 */
export async function copyBackup(copying: Copying): Promise<Copied> {
  const { source, run, keys, now } = copying
  // What it builds upon at the other store is sure to stay only so long; docs/format.md, last section.
  const signal = AbortSignal.any([copying.signal, AbortSignal.timeout(longestRun)])
  const [from, to] = [copying.from.until(signal), copying.to.until(signal)]
  if ((await to.stat(layout.manifest(source, run))) !== undefined) {
    await readBackup(to, source, run, keys)
    return { fresh: false, segments: 0, bytes: 0 }
  }
  const opened = await readBackup(from, source, run, keys)
  const { manifest, key } = opened
  const options = { configured: copying.installation, installation: manifest.installation, now }
  const installation = await joinRepository(to, keys, manifest.key, options)
  const oldest = await oldestAllowed(to, () => 0)
  const predecessor = await predecessorOf(to, source, keys, key)
  const reader = new BackupReader(from, opened)
  const lacking = await lackingOf(reader, predecessor?.index)
  const held = await carry({ ...copying, from, to, signal }, reader, lacking)
  await noteUnchecked(to, source, keys, run, now)
  await sealBackup({
    storage: to,
    writing: { key, installation },
    sealer: reader.sealer,
    keys,
    facts: { ...factsOf(manifest), destination: to.name },
    streams: manifest.streams.map((stream) => ({
      ...stream,
      entries: () => located(reader, stream, held.index, predecessor?.index),
    })),
    stored: { segments: held.segments, bytes: held.bytes },
    predecessor,
    oldest,
    now,
    signal,
  })
  return { fresh: true, segments: held.segments, bytes: held.bytes }
}

/** The segments of the streams that `known` does not name, each once. */
async function lackingOf(reader: BackupReader, known: SegmentIndex | undefined): Promise<SegmentIndex> {
  const lacking = new SegmentIndex()
  for (const stream of reader.manifest.streams) {
    for await (const entry of reader.entries(stream)) if (known?.has(entry.id) !== true) lacking.add(entry)
  }
  return lacking
}

interface Held {
  /** As the other store holds them. */
  readonly index: SegmentIndex
  segments: number
  bytes: number
}

async function carry(
  { from, to, source, signal, onBytes }: Copying,
  { sealer }: BackupReader,
  lacking: SegmentIndex,
): Promise<Held> {
  const held: Held = { index: new SegmentIndex(), segments: 0, bytes: 0 }
  const total = [...lacking].reduce((sum, { sealedLength }) => sum + sealedLength, 0)
  let done = 0
  await inParallel(lacking, parallel, async (entry) => {
    signal.throwIfAborted()
    const sealed = await readSealed(from, source, sealer, entry)
    const { id, plainLength } = entry
    const stored = await storeSegment(to, source, sealer, { id, plainLength, sealed })
    held.index.add(stored)
    if (stored.fresh) {
      held.segments += 1
      held.bytes += stored.sealedLength
    }
    done += sealed.length
    discard(sealed)
    onBytes?.(done, total)
  })
  return held
}

async function* located(
  reader: BackupReader,
  stream: ManifestStream,
  held: SegmentIndex,
  known: SegmentIndex | undefined,
): AsyncGenerator<ListEntry> {
  for await (const { id } of reader.entries(stream)) {
    const entry = held.get(id) ?? known?.get(id)
    if (entry === undefined) {
      throw new BackupError('SEGMENT_MISSING', `Segment ${id.toString('hex')} was not carried over.`)
    }
    yield entry
  }
}

/** What is true of the backup wherever it is. */
function factsOf(manifest: Manifest) {
  const { run, attempt, source, product, requestedAt, startedAt, snapshotAt } = manifest
  const { server, database, tool, options } = manifest
  return {
    run,
    attempt,
    source,
    product,
    requestedAt,
    startedAt,
    snapshotAt,
    server,
    database,
    tool,
    options,
  }
}
