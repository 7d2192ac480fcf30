import { createHash } from 'node:crypto'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import { discard, type ListEntry, type Sealer } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { layout } from './layout.ts'

const hour = 60 * 60 * 1000
/** Segments that no manifest names are removed only when older than this; docs/format.md, last section. */
export const gracePeriod = 7 * 24 * hour
/** The longest that a run may take; longer ones fail. */
export const longestRun = 48 * hour
/** What is stored may be named anew up to this age. */
const reusedUntil = gracePeriod - longestRun

/** Clocks of stores and machines may go apart by so much within a run. */
const drift = hour

/**
 * How old a segment may be at a store, by its clock, that a run names and the backup before does not: so old that it
 * might be reused when the run began.
 * @param elapsed ms since then; asked when the store has said what time it is there, which may take it long
 */
export async function oldestAllowed(storage: Storage, elapsed: () => number): Promise<Date> {
  const now = await storage.now()
  return new Date(now.getTime() - Math.min(reusedUntil + elapsed() + drift, gracePeriod))
}

export function sealedFacts(sealed: Uint8Array): Pick<ListEntry, 'sealedLength' | 'sealedHash'> {
  return { sealedLength: sealed.length, sealedHash: createHash('sha256').update(sealed).digest() }
}

/** What {@link storeSegment} did. */
export interface StoredSegment extends ListEntry {
  /** False if an equal object was there already. */
  readonly fresh: boolean
}

/**
 * Stores a sealed segment. One that is there already is as good if it is young enough not to be removed
 * meanwhile and opens; otherwise it is replaced, which renews its age.
 */
export async function storeSegment(
  storage: Storage,
  source: string,
  sealer: Sealer,
  segment: { readonly id: Buffer; readonly plainLength: number; readonly sealed: Buffer },
): Promise<StoredSegment> {
  const { id, plainLength, sealed } = segment
  const name = layout.segment(source, id)
  if (!(await storage.putIfAbsent(name, sealed))) {
    const existing = await reusable(storage, name, id, sealer)
    // What a run that came to nothing stored may have been locked under other settings.
    if (existing !== undefined) await storage.locks?.renew(name)
    if (existing !== undefined) return { id, plainLength, ...sealedFacts(existing), fresh: false }
    await storage.put(name, sealed)
  }
  return { id, plainLength, ...sealedFacts(sealed), fresh: true }
}

async function reusable(
  storage: Storage,
  name: string,
  id: Buffer,
  sealer: Sealer,
): Promise<Buffer | undefined> {
  const facts = await storage.stat(name)
  const now = await storage.now()
  if (facts === undefined || now.getTime() - facts.modified.getTime() > reusedUntil) return undefined
  const bytes = await storage.get(name)
  if (bytes === undefined) return undefined
  try {
    await sealer.open(id, bytes)
    return bytes
  } catch (error) {
    if (asBackupError(error).class === 'transient') throw error
    return undefined
  }
}

/**
 * The plain bytes of a stored segment, every check passed.
 * @throws SEGMENT_MISSING, SEGMENT_TRUNCATED, SEGMENT_TAMPERED (also for a swapped one), SEGMENT_FOREIGN
 */
export async function readSegment(
  storage: Storage,
  source: string,
  sealer: Sealer,
  entry: ListEntry,
): Promise<Buffer> {
  const sealed = await fetch(storage, source, entry)
  const plain = await open(sealer, storage, source, entry, sealed)
  if (plain.buffer !== sealed.buffer) discard(sealed)
  return plain
}

/** A stored segment as it lies there, every check passed. @throws as {@link readSegment} */
export async function readSealed(
  storage: Storage,
  source: string,
  sealer: Sealer,
  entry: ListEntry,
): Promise<Buffer> {
  const sealed = await fetch(storage, source, entry)
  // An equal one may have been sealed again since: then only opening it tells.
  if (!sealedFacts(sealed).sealedHash.equals(entry.sealedHash))
    await open(sealer, storage, source, entry, sealed)
  return sealed
}

async function fetch(storage: Storage, source: string, { id }: ListEntry): Promise<Buffer> {
  const name = layout.segment(source, id)
  const sealed = await storage.get(name)
  if (sealed !== undefined) return sealed
  throw new BackupError('SEGMENT_MISSING', `Segment ${name} is missing from ${storage.shown}.`, {
    hint: remedy(storage, source),
  })
}

async function open(
  sealer: Sealer,
  storage: Storage,
  source: string,
  entry: ListEntry,
  sealed: Buffer,
): Promise<Buffer> {
  try {
    return await sealer.open(entry.id, sealed)
  } catch (error) {
    throw inPlace(error, layout.segment(source, entry.id), sealed, entry, remedy(storage, source))
  }
}

/** What to do about a bad segment: who only reads it changes nothing, and runs go on naming it until it is mended. */
export function remedy({ name }: Storage, source: string): string {
  return `Use another backup or another destination; heal it, or have the next run store it again, with: npx --no securyflex-backup scrub ${source} --destination ${name} --share all`
}

/** The error for a segment that does not open, with what the list knew of it. */
function inPlace(error: unknown, name: string, sealed: Buffer, entry: ListEntry, hint: string): unknown {
  const known = asBackupError(error)
  if (known.code !== 'SEGMENT_TAMPERED' && known.code !== 'SEGMENT_TRUNCATED') return error
  const shortened = sealed.length < entry.sealedLength
  return shortened
    ? new BackupError(
        'SEGMENT_TRUNCATED',
        `Segment ${name} is cut off: ${String(sealed.length)} of ${String(entry.sealedLength)} bytes are there.`,
        { hint, cause: error },
      )
    : new BackupError(known.code, `${known.message} It is ${name}.`, { hint, cause: error })
}
