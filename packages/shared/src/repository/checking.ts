import { asBackupError, BackupError } from '@securyflex/shared/errors'
import { discard, type ListEntry, SegmentIndex } from '@securyflex/shared/segments'
import type { Storage, StoredObject } from '@securyflex/shared/storage'
import { outlastSweeps, type Waiting } from './condemned.ts'
import { inParallel } from './in-parallel.ts'
import { layout, segmentIdOf } from './layout.ts'
import type { BackupReader } from './reading.ts'

/** Of the segments that a run only references, verify opens one in this many each day, others each day. */
const rotation = 30
const day = 24 * 60 * 60 * 1000
/** Segments opened at a time. */
const parallel = 4

/** Told of each segment of an index that is listed. */
type OnListed = (id: Buffer, object: StoredObject) => void

/**
 * Which segments of `index` are not at `storage` as listed there: missing, or of another size. Another size
 * may still be an equal segment that was sealed again; only opening it tells.
 */
async function findSuspects(
  storage: Storage,
  source: string,
  index: SegmentIndex,
  onListed: OnListed = () => undefined,
): Promise<ListEntry[]> {
  const seen = new Uint8Array(index.size)
  for await (const object of storage.list(layout.segments(source))) {
    const id = segmentIdOf(object.key)
    const at = id === undefined ? undefined : index.indexOf(id)
    if (id === undefined || at === undefined) continue
    onListed(id, object)
    if (index.get(id)?.sealedLength === object.size) seen[at] = 1
  }
  return [...index].filter((_, at) => seen[at] === 0)
}

/** What of `index` is at `storage` with its listed size: only that may be named without being stored again. */
export async function presentOf(
  storage: Storage,
  source: string,
  index: SegmentIndex,
): Promise<SegmentIndex> {
  const suspects = indexed(await findSuspects(storage, source, index))
  if (suspects.size === 0) return index
  const present = new SegmentIndex()
  for (const entry of index) {
    if (!suspects.has(entry.id)) present.add(entry)
  }
  return present
}

function indexed(entries: readonly ListEntry[]): SegmentIndex {
  const index = new SegmentIndex()
  for (const entry of entries) index.add(entry)
  return index
}

/**
 * Makes sure that every segment of `index` is there with its size, opening those of another size.
 * @throws the error of the first bad segment, the number of bad ones in its message
 */
export async function checkPresence(
  storage: Storage,
  reader: BackupReader,
  index: SegmentIndex,
  signal: AbortSignal,
  { onListed }: { readonly onListed?: OnListed } = {},
): Promise<void> {
  const suspects = await findSuspects(storage, reader.manifest.source, index, onListed)
  await openSegments(reader, suspects, signal)
}

/** Told of each segment that is missing, or not what it was. */
type OnBad = (entry: ListEntry) => Promise<void>

/** What a check opened and saw. */
export interface Checked {
  /** Segments read back, decrypted, decompressed and compared with their ids. */
  readonly opened: number
  /** Segments only seen in the listing, with their size. */
  readonly listed: number
  /** Bytes read back. */
  readonly bytes: number
}

/**
 * Checks a stored backup: opens what is new against `predecessor`, and of the rest today's share; looks for
 * all others in the listing. `full` reads every stream from end to end.
 * @param predecessor what the backup before it named here; undefined opens everything
 * @param onBad told of each segment that is missing or bad, e.g. to set it aside
 * @throws the error of the first bad segment, the number of bad ones in its message
 */
export async function checkBackup(
  storage: Storage,
  reader: BackupReader,
  options: {
    predecessor: SegmentIndex | undefined
    full: boolean
    now: Date
    onBad?: OnBad
  } & Waiting,
): Promise<Checked> {
  const index = await reader.index()
  await outlastSweeps(storage, reader.manifest.source, index, options)
  const suspects = indexed(await findSuspects(storage, reader.manifest.source, index))
  const today = Math.floor(options.now.getTime() / day) % rotation
  const isDue = ({ id }: ListEntry) =>
    options.full || !options.predecessor?.has(id) || id.readUInt32BE(4) % rotation === today
  // All in one go, so that whoever is told of what is bad is told of all that is found today.
  const due = [...index].filter((entry) => isDue(entry) || suspects.has(entry.id))
  await openSegments(reader, due, options.signal, options.onBad)
  if (options.full) await checkStreams(reader, options.signal)
  const bytes = due.reduce((sum, entry) => sum + entry.sealedLength, 0)
  return { opened: due.length, listed: index.size - due.length, bytes }
}

async function checkStreams(reader: BackupReader, signal: AbortSignal): Promise<void> {
  for (const stream of reader.manifest.streams) {
    for await (const _ of reader.read(stream)) signal.throwIfAborted()
  }
}

/** Whether an error means that the object is missing or bad, not that a key is missing or wrong. */
export function isOfSegment({ code }: BackupError): boolean {
  return code.startsWith('SEGMENT_')
}

async function openSegments(
  reader: BackupReader,
  entries: readonly ListEntry[],
  signal: AbortSignal,
  onBad: OnBad = () => Promise.resolve(),
): Promise<void> {
  const problems: BackupError[] = []
  await inParallel(entries, parallel, async (entry) => {
    signal.throwIfAborted()
    await reader.segment(entry).then(discard, async (error: unknown) => {
      const known = asBackupError(error)
      if (known.class === 'transient') throw error
      problems.push(known)
      if (isOfSegment(known)) await onBad(entry)
    })
  })
  const [first] = problems
  if (first === undefined) return
  const more = problems.length === 1 ? '' : ` So are ${String(problems.length - 1)} more.`
  throw new BackupError(first.code, `${first.message}${more}`, {
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    cause: first,
  })
}
