import type { KeyRing } from '@securyflex/shared/keys'
import { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { type FoundBackup, findBackups } from './backups.ts'
import { layout, segmentIdOf } from './layout.ts'
import { planPrune, type PrunePlan } from './prune-plan.ts'
import { BackupReader } from './reading.ts'
import { refuseForeign } from './repository.ts'
import { timeOfRun } from './run-id.ts'
import { gracePeriod } from './segment-store.ts'

export interface PruneOptions {
  readonly storage: Storage
  readonly source: string
  readonly keys: KeyRing
  /** `BACKUP_INSTALLATION`; the repository of another one is not touched. */
  readonly installation: string | undefined
  /** True where nothing is encrypted, so that checksums are all there is. */
  readonly acceptChecksums: boolean
  readonly retentionDays: number
  readonly keepAtLeast: number
  readonly now: Date
  readonly signal: AbortSignal
}

/** The plan for one source at one store. Reads only. @throws OTHER_INSTALLATION */
export async function makePrunePlan(options: PruneOptions): Promise<PrunePlan> {
  const { storage, source, keys, installation } = options
  await refuseForeign(storage, keys, installation)
  const found: FoundBackup[] = []
  for await (const backup of findBackups(storage, source, keys)) found.push(backup)
  return planPrune({
    backups: found.flatMap(({ run, opened }) =>
      opened === undefined
        ? []
        : [{ run, time: timeOfRun(run), trusted: opened.authenticated || options.acceptChecksums }],
    ),
    unreadable: found.flatMap(({ run, problem }) =>
      problem === undefined ? [] : [{ run, why: problem.message }],
    ),
    now: options.now,
    retentionDays: options.retentionDays,
    keepAtLeast: options.keepAtLeast,
  })
}

/** What pruning did. */
export interface Pruned {
  readonly plan: PrunePlan
  /** Backups removed. */
  readonly backups: number
  /** Segments removed that no manifest named. */
  readonly segments: number
}

/**
 * Removes what the plan gives up: manifests first, so that a backup is gone before any part of it is; then
 * segments of known names that no manifest left names and that are past the grace period; then what killed
 * writers never finished.
 */
export async function prune(options: PruneOptions): Promise<Pruned> {
  const plan = await makePrunePlan(options)
  if (plan.refused !== undefined) return { plan, backups: 0, segments: 0 }
  const given = plan.decisions.filter(({ keep }) => !keep)
  for (const { run } of given) {
    options.signal.throwIfAborted()
    await options.storage.delete(layout.manifest(options.source, run))
  }
  const segments = await sweep(options)
  const places = [`${options.source}/`, layout.keys]
  await Promise.all(places.map((place) => options.storage.removeUnfinished(place)))
  return { plan, backups: given.length, segments }
}

/** Removes unnamed segments. What is named is read from the store again, after the manifests went. */
async function sweep({ storage, source, keys, signal }: PruneOptions): Promise<number> {
  const named = new SegmentIndex()
  for await (const { opened } of findBackups(storage, source, keys)) {
    // A manifest that appeared unreadable meanwhile may name anything: nothing is swept.
    if (opened === undefined) return 0
    for (const entry of await new BackupReader(storage, opened).index()) named.add(entry)
  }
  const oldest = (await storage.now()).getTime() - gracePeriod
  let removed = 0
  for await (const { key, modified } of storage.list(layout.segments(source))) {
    signal.throwIfAborted()
    const id = segmentIdOf(key)
    if (id === undefined || named.has(id) || modified.getTime() > oldest) continue
    const again = await storage.stat(key)
    if (again === undefined || again.modified.getTime() > oldest) continue
    await storage.delete(key)
    removed += 1
  }
  return removed
}
