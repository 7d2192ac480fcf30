import type { Retention } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { type FoundBackup, findBackups } from './backups.ts'
import { checkPresence } from './checking.ts'
import { describeKept, listKeeps, readKept } from './keeping.ts'
import { layout } from './layout.ts'
import { type OpenManifest, openManifest } from './open-manifest.ts'
import { planPrune, type PruneCandidate, type PruneDecision, type PrunePlan } from './prune-plan.ts'
import { BackupReader } from './reading.ts'
import { Removal } from './removal.ts'
import { removeOldAside } from './aside-age.ts'
import { refuseForeign } from './repository.ts'
import { timeOfRun } from './run-id.ts'
import { nothingSwept, sweep, type Swept } from './sweep.ts'

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

/**
 * The plan for one source at one store. Nothing is given up for a backup that is not all there: such a one counts as
 * one that did not pass its checks. Reads only.
 * @throws OTHER_INSTALLATION
 */
export async function makePrunePlan(options: PruneOptions): Promise<PrunePlan> {
  const { storage, source, keys, installation } = options
  await refuseForeign(storage, keys, installation)
  const found: FoundBackup[] = []
  for await (const backup of findBackups(storage, source, keys)) found.push(backup)
  const runs = found.map(({ run }) => run)
  const unsound = new Set(await options.unsound(runs))
  const underWay = (await options.underWay?.(runs)) ?? []
  const backups = await candidatesOf(options, found)
  for (;;) {
    const plan = planPrune({
      backups: backups.map((backup) => ({ ...backup, unsound: unsound.has(backup.run) })),
      unreadable: found.flatMap(({ run, problem }) =>
        problem === undefined ? [] : [{ run, why: problem.message }],
      ),
      underWay,
      now: options.now,
      retention: options.retention,
      timeZone: options.timeZone,
    })
    const newest = backups.find(({ run, trusted }) => trusted && !unsound.has(run))
    if (newest === undefined || plan.decisions.every(({ keep }) => keep)) return plan
    if (await isThere(storage, newest.opened, options.signal)) return plan
    unsound.add(newest.run)
  }
}

type Candidate = PruneCandidate & { readonly opened: OpenManifest }

/** Those that can be read, newest first. */
async function candidatesOf(
  { storage, source, acceptChecksums }: PruneOptions,
  found: readonly FoundBackup[],
): Promise<Candidate[]> {
  const keeps = await listKeeps(storage, source)
  const candidate = async (run: string, opened: OpenManifest): Promise<Candidate> => {
    const kept = await readKept(storage, run, opened.key, keeps)
    return {
      run,
      time: timeOfRun(run),
      sealed: new Date(opened.manifest.sealedAt),
      trusted: opened.authenticated || acceptChecksums,
      kept: kept === undefined ? undefined : describeKept(kept),
      opened,
    }
  }
  return Promise.all(
    found.flatMap(({ run, opened }) => (opened === undefined ? [] : [candidate(run, opened)])),
  )
}

/** Whether a listing shows everything that a backup names. */
async function isThere(storage: Storage, opened: OpenManifest, signal: AbortSignal): Promise<boolean> {
  try {
    const reader = new BackupReader(storage, opened)
    await checkPresence(storage, reader, await reader.index(), signal)
    return true
  } catch (error) {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
    return false
  }
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
  const putBack = () => storage.putIfAbsent(name, bytes)
  // Whoever keeps it may have seen it there: while that cannot be known it stays, too.
  const kept = await isKept().catch(async (error: unknown) => {
    await insist(putBack)
    throw error
  })
  if (!kept) return 'removed'
  await insist(putBack)
  return 'stays'
}

/** Somebody was told that the backup stays: one failure of the store must not undo that. */
async function insist(work: () => Promise<unknown>): Promise<void> {
  for (let left = 3; ; left--) {
    try {
      await work()
      return
    } catch (error) {
      if (left === 0 || asBackupError(error).class !== 'transient') throw error
    }
  }
}
