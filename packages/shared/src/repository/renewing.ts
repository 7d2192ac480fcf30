import type { SegmentIndex } from '@securyflex/shared/segments'
import type { Locks, Storage, StoredObject } from '@securyflex/shared/storage'
import { inParallel } from './in-parallel.ts'
import { layout, segmentIdOf } from './layout.ts'
import type { Predecessor } from './predecessor.ts'

/** Locks that are renewed at a time: enough to hide latency. */
const parallel = 8

export interface Renewal {
  readonly storage: Storage
  readonly source: string
  /** Everything that the backup names. */
  readonly index: SegmentIndex
  /** The backup that this one builds upon here. What it does not name, this one has stored, and so locked, itself. */
  readonly predecessor: Predecessor | undefined
  /** What the manifest will call its time of sealing. */
  readonly now: Date
  readonly signal: AbortSignal
}

/**
 * Where the place locks what it stores: makes sure that everything a backup needs is locked for as long as the backup
 * itself, which is about to be sealed. What was stored under today's settings is locked for `spare` longer than that,
 * so it is due once in each `spare` of its age, in the first run of that time: the ages in the listing and the time of
 * the run before tell which that is (docs/format.md, "Locks").
 * @returns how many locks were renewed
 * @throws what the store says
 */
export async function renewLocks(renewal: Renewal): Promise<number> {
  const { storage, source, index, predecessor, now, signal } = renewal
  const { locks } = storage
  if (locks === undefined) return 0
  const before = await lastSealed(locks, renewal)
  const isDue = ({ modified }: StoredObject) => {
    const times = (at: Date) => Math.max(0, Math.floor((at.getTime() - modified.getTime()) / locks.spare))
    return before === undefined || times(now) > times(before)
  }
  let renewed = 0
  const renewIfDue = async (object: StoredObject) => {
    signal.throwIfAborted()
    if (!isDue(object)) return
    await locks.renew(object.key)
    renewed += 1
  }
  if (predecessor !== undefined) {
    await inParallel(storage.list(layout.segments(source)), parallel, async (object) => {
      const id = segmentIdOf(object.key)
      if (id !== undefined && index.has(id) && predecessor.index.has(id)) await renewIfDue(object)
    })
  }
  for (const place of [layout.adoptions, layout.keys])
    await inParallel(storage.list(place), parallel, renewIfDue)
  return renewed
}

/**
 * When the backup before was sealed, if everything that it names was locked under today's settings then: its own
 * manifest's lock tells.
 */
async function lastSealed(locks: Locks, { source, predecessor }: Renewal): Promise<Date | undefined> {
  if (predecessor === undefined) return undefined
  const { run, sealedAt } = predecessor.opened.manifest
  const sealed = new Date(sealedAt)
  return (await locks.isLikeStored(layout.manifest(source, run), sealed)) ? sealed : undefined
}
