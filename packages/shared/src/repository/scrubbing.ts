import type { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { Elsewhere } from './elsewhere.ts'
import { healKeyRecords } from './key-healing.ts'
import { layout } from './layout.ts'
import { type Fate, mend } from './mending.ts'
import { Naming } from './naming.ts'
import { Opener } from './opener.ts'
import { ReadingBack } from './reading-back.ts'
import { refuseForeign } from './repository.ts'
import { type FoundByScrub, readScrubRecord, type ScrubRecord, writeScrubRecord } from './scrub-record.ts'
import { longestUnchecked, shardCount, shardOf } from './shards.ts'
import type { Ill } from './troubles.ts'

export interface ScrubOptions {
  readonly storage: Storage
  /** The source's other destinations, in the order in which they are asked for what is missing or bad here. */
  readonly others: readonly Storage[]
  readonly source: string
  readonly keys: KeyRing
  /** `BACKUP_INSTALLATION`; the repository of another one is not touched. */
  readonly installation: string | undefined
  /**
   * Which part of the segments to read back: more than 0, at most 1, rounded up to shards, of which there are 256; or the
   * shards themselves. Those in which something could not be healed are read back in any case.
   */
  readonly share: number | ReadonlySet<number>
  /** Finds and tells, and changes and records nothing. Default: false. */
  readonly dryRun?: boolean
  readonly now: Date
  readonly signal: AbortSignal
  /** Told of each place that a scrub passes; tests stop it there. */
  readonly passed?: (place: ScrubPlace) => Promise<void>
}

/** When it is known what backups name; after all was read back; after each segment that was mended; and all. */
export type ScrubPlace = 'named' | 'read' | 'segment' | 'mended'

/** A segment that was missing or bad. */
export interface Finding {
  /** Of the object. */
  readonly name: string
  readonly what: Ill
  /** How many backups name it. */
  readonly backups: number
  /** The newest of them, ten at the most. */
  readonly runs: readonly string[]
  readonly fate: Fate
}

/** What a scrub read and found. */
export interface Scrubbed {
  /** Shards that were read back whole. */
  readonly shards: number
  readonly opened: number
  /** Of what was opened. */
  readonly bytes: number
  readonly findings: readonly Finding[]
  /** Objects that are no part of a repository, or of which nothing here can tell: how many, and the first 100 names. */
  readonly unknown: { readonly count: number; readonly names: readonly string[] }
  /** Manifests that cannot be read. */
  readonly unreadable: readonly { readonly run: string; readonly problem: BackupError }[]
  /** Backups that a missing or bad segment touched, healed or not; newest first. */
  readonly touched: readonly string[]
  /** Those of them that miss something still. */
  readonly unhealed: readonly string[]
  /** Other destinations that could not be asked, and why. */
  readonly silent: ReadonlyMap<string, string>
  /** The names of key records that were damaged, and are good again. */
  readonly keyRecords: readonly string[]
}

/**
 * Reads back a share of a source's segments at one place, those first that were not for the longest time. What is
 * missing or bad comes from another place, or is set aside so that the next run stores it again. Harmless beside runs,
 * prunes and other scrubs: what somebody removed or mended meanwhile is no finding.
 * @throws OTHER_INSTALLATION, KEY_MISSING or KEY_WRONG if no backup there opens, and what the place says: then nothing
 *   counts as read back
 */
export async function scrub(options: ScrubOptions): Promise<Scrubbed> {
  const { source, keys, share, signal, dryRun = false, passed = () => Promise.resolve() } = options
  const storage = options.storage.until(signal)
  const others = options.others.map((place) => place.until(signal))
  const keyRecords = dryRun ? [] : await healKeyRecords(storage, others, source, keys)
  await refuseForeign(storage, keys, options.installation)
  const before = await readScrubRecord(storage, source, keys)
  const shared = typeof share === 'number' ? longestUnchecked(before.checked, share) : share
  const due = new Set([...shared, ...before.unhealed.keys()])
  const opener = await Opener.of(storage, keys)
  const elsewhere = new Elsewhere(options.others, source, opener, signal)
  const naming = new Naming(storage, source, keys, opener, elsewhere)
  const named = await namedIn(naming, due)
  refuseWithoutKey(naming)
  await passed('named')
  const seen = new ReadingBack(storage, source, opener, signal)
  await seen.read(due, named)
  for (const { entry, what } of naming.badLists.values()) seen.troubles.add(entry.id, what, entry)
  await passed('read')
  const { troubles } = seen
  await troubles.attribute(naming)
  const mending = { storage, source, opener, elsewhere, now: options.now }
  for (const trouble of troubles) {
    signal.throwIfAborted()
    const { id, entry, backups } = trouble
    // What cannot be read may name anything.
    const wanted = backups > 0 || naming.unreadable.size + naming.incomplete.size > 0
    trouble.fate = dryRun ? untouched : await mend(mending, id, entry, wanted)
    await passed('segment')
  }
  const unhealed = await troubles.unhealed(naming)
  const scrubbed = { ...summed(due.size, seen, naming, elsewhere, unhealed, source), keyRecords }
  await passed('mended')
  signal.throwIfAborted()
  if (!dryRun && seen.anything) await record(options, storage, due, before, unhealed, scrubbed)
  return scrubbed
}

/** Where no manifest opens, no segment does: what is looked at then must not count as read back. */
function refuseWithoutKey({ readable, unreadable }: Naming): void {
  const [problem] = unreadable.values()
  if (readable === 0 && (problem?.code === 'KEY_MISSING' || problem?.code === 'KEY_WRONG')) throw problem
}

const untouched: Fate = { outcome: 'stays', why: 'nothing was to be changed' }

/** What backups name in these shards. */
async function namedIn(naming: Naming, shards: ReadonlySet<number>): Promise<SegmentIndex> {
  const named = new SegmentIndex()
  for await (const { entry } of naming.walk()) if (shards.has(shardOf(entry.id))) named.add(entry)
  return named
}

/** What the scrub says of itself. */
function summed(
  shards: number,
  { opened, bytes, troubles, unknown }: ReadingBack,
  { unreadable }: Naming,
  { silent }: Elsewhere,
  unhealed: ReadonlyMap<number, readonly string[]>,
  source: string,
): Omit<Scrubbed, 'keyRecords'> {
  const findings = [...troubles].flatMap(({ id, what, backups, runs, fate = untouched }) =>
    fate.outcome === 'whole' ? [] : [{ name: layout.segment(source, id), what, backups, runs, fate }],
  )
  return {
    shards,
    opened,
    bytes,
    findings,
    unknown,
    unreadable: [...unreadable].map(([run, problem]) => ({ run, problem })),
    touched: newestFirst(troubles.touched),
    unhealed: newestFirst([...unhealed.values()].flat()),
    silent,
  }
}

/** Run ids of one source sort by age. */
function newestFirst(runs: Iterable<string>): string[] {
  return [...new Set(runs)].sort().reverse()
}

/** Puts down what was read back and what is missing still, beside what another scrub put down meanwhile. */
async function record(
  { source, keys, now }: ScrubOptions,
  storage: Storage,
  due: ReadonlySet<number>,
  before: ScrubRecord,
  unhealed: ReadonlyMap<number, readonly string[]>,
  { shards, opened, bytes, findings, unknown, touched }: Scrubbed,
): Promise<void> {
  const are = (what: Finding['what']) => findings.filter((one) => one.what === what).length
  const from = findings.flatMap(({ fate }) => (fate.outcome === 'healed' ? [fate.from] : []))
  const found: FoundByScrub = {
    ...{ shards, opened, bytes },
    ...{ missing: are('missing'), truncated: are('truncated'), altered: are('altered') },
    unknown: unknown.count,
    healed: from.length,
    aside: findings.filter(({ fate }) => fate.outcome === 'aside').length,
    from: [...new Set(from)],
    backups: [...touched],
  }
  await writeScrubRecord(storage, source, keys, now, (there, at) => {
    const bad = new Map(unhealed)
    for (const [shard, runs] of there.unhealed) {
      const isOurs = due.has(shard) && there.checked[shard] === before.checked[shard]
      if (!isOurs) bad.set(shard, newestFirst([...runs, ...(unhealed.get(shard) ?? [])]))
    }
    const checked = there.checked.map((time, shard) => (due.has(shard) ? at : time))
    return { checked, unhealed: bad, unchecked: uncheckedStill(there, before, due), found }
  })
}

/** A scrub of all reads back every segment of the copies that were there when it began. */
function uncheckedStill(
  there: ScrubRecord,
  before: ScrubRecord,
  due: ReadonlySet<number>,
): readonly string[] {
  if (due.size < shardCount) return there.unchecked
  return there.unchecked.filter((run) => !before.unchecked.includes(run))
}
