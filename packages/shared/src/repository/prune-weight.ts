import { SegmentIndex } from '@securyflex/shared/segments'
import { findBackups } from './backups.ts'
import { layout, segmentIdOf } from './layout.ts'
import type { PrunePlan } from './prune-plan.ts'
import { addNamed } from './named.ts'
import type { PruneOptions } from './prune.ts'
import { gracePeriod } from './segment-store.ts'

/** What a prune would free, in bytes of segments. */
export interface PruneWeight {
  /**
   * By run, for each backup that goes: what no backup names that stays. What several name that go counts for the newest
   * of them. A run whose lists cannot be read is left out: it goes all the same.
   */
  readonly backups: ReadonlyMap<string, number>
  /** What a prune would free at once. */
  readonly now: number
  /** What it would leave to a later one, because it was stored less than seven days ago. */
  readonly later: number
  /** Why no segment would be removed. */
  readonly unswept: string | undefined
}

/** Weighs a plan. Reads only: the lists of all backups, and the listing of segments. */
export async function weighPrune(
  { storage, source, keys, signal }: Pick<PruneOptions, 'storage' | 'source' | 'keys' | 'signal'>,
  { refused, decisions }: PrunePlan,
): Promise<PruneWeight> {
  const backups = new Map<string, number>()
  const nothing = (unswept: string) => ({ backups, now: 0, later: 0, unswept })
  if (refused !== undefined) return nothing(refused)
  const goes = new Set(decisions.flatMap(({ run, keep }) => (keep ? [] : [run])))
  const [named, going, owners] = [new SegmentIndex(), new SegmentIndex(), new Array<string>()]
  for await (const backup of findBackups(storage, source, keys)) {
    signal.throwIfAborted()
    if (!goes.has(backup.run)) {
      const problem = await addNamed(storage, backup, named)
      if (problem !== undefined) return nothing(problem)
    } else if ((await addNamed(storage, backup, going)) === undefined) {
      backups.set(backup.run, 0)
      while (owners.length < going.size) owners.push(backup.run)
    }
  }
  const oldest = (await storage.now()).getTime() - gracePeriod
  let [now, later] = [0, 0]
  for await (const { key, size, modified } of storage.list(layout.segments(source))) {
    signal.throwIfAborted()
    const id = segmentIdOf(key)
    if (id === undefined || named.has(id)) continue
    const owner = owners[going.indexOf(id) ?? -1]
    if (owner !== undefined) backups.set(owner, (backups.get(owner) ?? 0) + size)
    if (modified.getTime() > oldest) later += size
    else now += size
  }
  return { backups, now, later, unswept: undefined }
}
