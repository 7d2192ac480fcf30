import type { Retention } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage, StoredObject } from '@securyflex/shared/storage'
import { type FoundBackup, findBackups, listRuns } from './backups.ts'
import { inParallel } from './in-parallel.ts'
import { describeKept, listKeeps, readKept } from './keeping.ts'
import { keepOf, layout, segmentIdOf } from './layout.ts'
import { type OpenManifest, openManifest } from './open-manifest.ts'
import { planPrune, type PruneDecision, type PrunePlan } from './prune-plan.ts'
import { BackupReader } from './reading.ts'
import { Removal } from './removal.ts'
import { removeOldAside } from './aside-age.ts'
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
  readonly retention: Retention
  /** IANA name of the zone in which days, weeks, months and years are counted. */
  readonly timeZone: string
  /** Which of these runs told that their backup did not pass its checks at this store. */
  readonly unsound: (runs: readonly string[]) => Promise<ReadonlySet<string>>
  /** When runs began that are under way and have not sealed here; `sealed` are those that have. Default: none is. */
  readonly underWay?: (sealed: readonly string[]) => Promise<readonly Date[]>
  readonly now: Date
  readonly signal: AbortSignal
  /** Told of each place that a prune passes; tests stop it there. */
  readonly passed?: (place: PrunePlace) => Promise<void>
}

/** After the plan, after each manifest and all of them, after each segment and all of them. */
export type PrunePlace = 'planned' | 'manifest' | 'manifests' | 'segment' | 'segments'

/** The plan for one source at one store. Reads only. @throws OTHER_INSTALLATION */
export async function makePrunePlan(options: PruneOptions): Promise<PrunePlan> {
  const { storage, source, keys, installation, acceptChecksums } = options
  await refuseForeign(storage, keys, installation)
  const found: FoundBackup[] = []
  for await (const backup of findBackups(storage, source, keys)) found.push(backup)
  const runs = found.map(({ run }) => run)
  const unsound = await options.unsound(runs)
  const underWay = (await options.underWay?.(runs)) ?? []
  const keeps = await listKeeps(storage, source)
  const candidate = async (run: string, { key, authenticated, manifest }: OpenManifest) => {
    const kept = await readKept(storage, run, key, keeps)
    return {
      run,
      time: timeOfRun(run),
      trusted: authenticated || acceptChecksums,
      unsound: unsound.has(run),
      sealed: new Date(manifest.sealedAt),
      kept: kept === undefined ? undefined : describeKept(kept),
    }
  }
  return planPrune({
    backups: await Promise.all(
      found.flatMap(({ run, opened }) => (opened === undefined ? [] : [candidate(run, opened)])),
    ),
    unreadable: found.flatMap(({ run, problem }) =>
      problem === undefined ? [] : [{ run, why: problem.message }],
    ),
    underWay,
    now: options.now,
    retention: options.retention,
    timeZone: options.timeZone,
  })
}

/** What pruning did. */
export interface Pruned {
  readonly plan: PrunePlan
  readonly removed: readonly PruneDecision[]
  /** How many these are. */
  readonly backups: number
  /** Segments removed that no manifest named. */
  readonly segments: number
  /** Bytes of these segments. */
  readonly bytes: number
  /** Manifests and segments that the store holds for now (object lock). A later prune takes them. */
  readonly locked: number
  /** Why nothing may be removed there at all: rights. */
  readonly denied: string | undefined
  /** Why unnamed segments were left. */
  readonly unswept: string | undefined
}

/**
 * Removes what the plan gives up: manifests first, the oldest first, so that a backup is gone before any part of it
 * is; then segments of known names that no manifest left names and that are past the grace period; then what killed
 * writers never finished. What is locked stays and is counted; that nothing may be removed is told, and no error.
 * @param only of the backups that are given up, those that may go: what somebody has agreed to; default: all
 * @throws OTHER_INSTALLATION, and what the store says
 */
export async function prune(options: PruneOptions, only?: ReadonlySet<string>): Promise<Pruned> {
  const plan = await makePrunePlan(options)
  const removal = new Removal(options.storage)
  if (plan.refused !== undefined) return summed(plan, [], nothingSwept, removal)
  await options.passed?.('planned')
  const givenUp = plan.decisions.filter(({ run, keep }) => !keep && only?.has(run) !== false)
  const fates = new Map<string, Fate>()
  for (const { run } of givenUp.reverse()) {
    options.signal.throwIfAborted()
    if (removal.denied !== undefined) break
    fates.set(run, await removeBackup(options, run, removal))
    await options.passed?.('manifest')
  }
  await options.passed?.('manifests')
  const staying = plan.decisions.filter(({ run }) => (fates.get(run) ?? 'stays') === 'stays')
  const swept = await sweep(options, new Set(staying.map(({ run }) => run)), removal)
  await options.passed?.('segments')
  await removeOldAside(options.storage, options.source, removal)
  for (const place of [`${options.source}/`, layout.keys]) await removal.removeUnfinished(place)
  const removed = plan.decisions.filter(({ run }) => fates.get(run) === 'removed')
  return summed(plan, removed, swept, removal)
}

function summed(
  plan: PrunePlan,
  removed: readonly PruneDecision[],
  swept: Swept,
  { locked, denied }: Removal,
): Pruned {
  return { plan, removed, backups: removed.length, ...swept, locked, denied }
}

/** What became of a backup that the plan gave up; `gone` if somebody else removed it. */
type Fate = 'removed' | 'gone' | 'stays'

/** One that somebody keeps meanwhile stays, or comes back: its segments are all there still. */
async function removeBackup(options: PruneOptions, run: string, removal: Removal): Promise<Fate> {
  const { storage, source, keys } = options
  const name = layout.manifest(source, run)
  const bytes = await storage.get(name)
  if (bytes === undefined) return 'gone'
  const { key } = await openManifest(name, bytes, keys)
  const isKept = async () => {
    const names = await listKeeps(storage, source, run)
    return (await readKept(storage, run, key, names)) !== undefined
  }
  if (await isKept()) return 'stays'
  if (!(await removal.remove({ key: name }))) return 'stays'
  if (!(await isKept())) return 'removed'
  await storage.putIfAbsent(name, bytes)
  return 'stays'
}

type Swept = Pick<Pruned, 'segments' | 'bytes' | 'unswept'>
const nothingSwept: Swept = { segments: 0, bytes: 0, unswept: undefined }

/**
 * Removes unnamed segments, and words about backups that are gone. What is named is read from the store again, after
 * the manifests went.
 * @param staying backups that must be there still: a listing without one of them is not to be believed
 */
async function sweep(options: PruneOptions, staying: ReadonlySet<string>, removal: Removal): Promise<Swept> {
  const { storage, source, keys, signal } = options
  const named = new SegmentIndex()
  const missing = new Set(staying)
  for await (const backup of findBackups(storage, source, keys)) {
    missing.delete(backup.run)
    // One that cannot be read may name anything.
    const problem = await addNamed(storage, backup, named)
    if (problem !== undefined) return { ...nothingSwept, unswept: problem }
  }
  const [gone] = missing
  if (gone !== undefined)
    return { ...nothingSwept, unswept: `${gone} is there no more, and nobody here removed it` }
  const oldest = (await storage.now()).getTime() - gracePeriod
  const isYoung = ({ modified }: StoredObject) => modified.getTime() > oldest
  let [segments, bytes] = [0, 0]
  await inParallel(storage.list(layout.segments(source)), parallel, async (object) => {
    signal.throwIfAborted()
    const id = segmentIdOf(object.key)
    if (removal.denied !== undefined || id === undefined || named.has(id) || isYoung(object)) return
    const again = await storage.stat(object.key)
    if (again === undefined || isYoung(again) || !(await removal.remove(object))) return
    segments += 1
    bytes += object.size
    await options.passed?.('segment')
  })
  await forgetWords(options, removal, isYoung)
  return { segments, bytes, unswept: undefined }
}

/**
 * Adds everything that a backup names.
 * @returns why that cannot be known
 */
export async function addNamed(
  storage: Storage,
  { run, opened, problem }: FoundBackup,
  named: SegmentIndex,
): Promise<string | undefined> {
  if (opened === undefined) return `the manifest of ${run} cannot be read: ${problem.message}`
  try {
    for (const entry of await new BackupReader(storage, opened).index()) named.add(entry)
    return undefined
  } catch (error) {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
    return `what ${run} needs cannot be known: ${error.message}`
  }
}

/** Segments that are looked at and removed at a time: enough to hide latency. */
const parallel = 8

/** Removes old words of `keep` about backups that are there no more. */
async function forgetWords(
  { storage, source }: PruneOptions,
  removal: Removal,
  isYoung: (object: StoredObject) => boolean,
): Promise<void> {
  const runs = new Set(await listRuns(storage, source))
  for await (const object of storage.list(layout.keeps(source))) {
    const about = keepOf(object.key)
    if (about === undefined || runs.has(about.run) || isYoung(object)) continue
    await removal.remove(object)
  }
}
