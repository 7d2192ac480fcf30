import { randomBytes } from 'node:crypto'
import { BackupError } from '@securyflex/shared/errors'
import { type DataKey, keyRecordSchema, type KeyRing } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { z } from 'zod'
import { decodeDocument, encodeDocument } from './document.ts'
import { layout, scrubOf } from './layout.ts'
import { Removal } from './removal.ts'
import { openedKeys } from './repository.ts'
import { shardCount, shardName } from './shards.ts'

const time = z.iso.datetime()
const count = z.int().min(0)

/** What one scrub read and found. */
const found = z.object({
  shards: count,
  opened: count,
  bytes: count,
  missing: count,
  truncated: count,
  altered: count,
  unknown: count,
  healed: count,
  aside: count,
  /** The places from which segments were healed. */
  from: z.array(z.string()),
  /** Backups that a missing or bad segment touched, healed or not. */
  backups: z.array(z.string()),
})
export type FoundByScrub = z.infer<typeof found>

/** Before the first scrub. */
const nothingFound: FoundByScrub = {
  ...{
    shards: 0,
    opened: 0,
    bytes: 0,
    missing: 0,
    truncated: 0,
    altered: 0,
    unknown: 0,
    healed: 0,
    aside: 0,
  },
  ...{ from: [], backups: [] },
}

/** The document of a scrub, which holds the whole record; docs/format.md, "Scrubs". */
const scrubSchema = z.object({
  format: z.literal(1),
  kind: z.literal('scrub'),
  source: z.string(),
  destination: z.string(),
  at: time,
  /** Time in the name of the newest record that this one goes on from; null if there was none. */
  before: count.nullable(),
  key: keyRecordSchema.nullable(),
  checked: z.array(time.nullable()).length(shardCount),
  unhealed: z.record(z.string().regex(/^[0-9a-f]{2}$/), z.array(z.string())),
  unchecked: z.array(z.string()).default([]),
  found,
})

/** When each shard was read back, and what is known to be missing or bad there. */
export interface ScrubRecord {
  /** Undefined before the first scrub. */
  readonly at: string | undefined
  /** By shard; null for never. */
  readonly checked: readonly (string | null)[]
  /** By shard, the backups that name a segment which could not be healed. */
  readonly unhealed: ReadonlyMap<number, readonly string[]>
  /** Backups that were copied here, and whose check has not ended good since. */
  readonly unchecked: readonly string[]
  /** What the newest scrub found. */
  readonly found: FoundByScrub | undefined
}

const nothing: ScrubRecord = {
  at: undefined,
  checked: new Array<null>(shardCount).fill(null),
  unhealed: new Map(),
  unchecked: [],
  found: undefined,
}

/** So many of the newest records of a source are left where they are. */
const kept = 10

/** The names of the records of a source, newest first, with their times. */
async function listScrubs(storage: Storage, source: string): Promise<{ name: string; time: number }[]> {
  const names: { name: string; time: number }[] = []
  for await (const { key } of storage.list(layout.scrubs(source))) {
    const written = scrubOf(key)
    if (written !== undefined) names.push({ name: key, time: written })
  }
  return names.sort((a, b) => b.time - a.time || (a.name < b.name ? 1 : -1))
}

/**
 * The record of a source at one place: that of the newest document that is whole and that a key vouches for, where
 * the place has one that is configured here, with those that were written beside it. Without any, nothing counts as read back.
 */
export async function readScrubRecord(storage: Storage, source: string, keys: KeyRing): Promise<ScrubRecord> {
  const names = await listScrubs(storage, source)
  if (names.length === 0) return nothing
  const needsKey = (await vouchingKey(storage, keys)) !== undefined
  let joined: Read | undefined
  for (const { name, time } of names) {
    // What is older than what the newest goes on from is part of it.
    if (time <= (joined?.before ?? -1)) break
    const bytes = await storage.get(name)
    const record = bytes === undefined ? undefined : await read(name, bytes, source, keys, needsKey)
    if (record !== undefined) joined = joined === undefined ? record : join(joined, record)
  }
  return joined ?? nothing
}

/** A record, and what it goes on from. */
type Read = ScrubRecord & { readonly before: number | null }

/** The newer of two that were written at the same time, with what the other one read back later: neither saw the other. */
function join(newer: Read, other: Read): Read {
  const unhealed = new Map<number, readonly string[]>()
  const checked = newer.checked.map((time, shard) => {
    const [mine, theirs] = [time ?? '', other.checked[shard] ?? '']
    const runs = [
      ...(mine >= theirs ? (newer.unhealed.get(shard) ?? []) : []),
      ...(theirs >= mine ? (other.unhealed.get(shard) ?? []) : []),
    ]
    if (runs.length > 0) unhealed.set(shard, [...new Set(runs)].sort().reverse())
    return mine >= theirs ? time : (other.checked[shard] ?? null)
  })
  const unchecked = [...new Set([...newer.unchecked, ...other.unchecked])]
  return { ...newer, checked, unhealed, unchecked }
}

async function read(
  name: string,
  bytes: Buffer,
  source: string,
  keys: KeyRing,
  needsKey: boolean,
): Promise<Read | undefined> {
  try {
    const document = decodeDocument(name, bytes)
    const parsed = scrubSchema.safeParse(document.content)
    if (!parsed.success || parsed.data.source !== source) return undefined
    const { key, at, before, checked, unhealed, unchecked, found } = parsed.data
    if (needsKey && (key === null || !document.authenticated)) return undefined
    // As with reports: on a machine without any key it is read unchecked, and decides nothing there.
    if (key === null || !keys.empty) document.check(key === null ? undefined : await keys.open(key))
    const byShard = Object.entries(unhealed).map(
      ([shard, runs]) => [Number.parseInt(shard, 16), runs] as const,
    )
    return { at, before, checked, unhealed: new Map(byShard), unchecked, found }
  } catch (error) {
    if (error instanceof BackupError && error.class !== 'transient') return undefined
    throw error
  }
}

/**
 * Writes the record that `change` makes of the one that is there by then: another scrub may have written meanwhile.
 * Old ones are removed, where that is allowed.
 * @param change is given the record and when it is written: later than all that are there, whatever the clocks say
 */
export async function writeScrubRecord(
  storage: Storage,
  source: string,
  keys: KeyRing,
  now: Date,
  change: (record: ScrubRecord, at: string) => Omit<ScrubRecord, 'at'>,
): Promise<void> {
  const [newest] = await listScrubs(storage, source)
  const before = await readScrubRecord(storage, source, keys)
  const written = Math.max(now.getTime(), (newest?.time ?? 0) + 1)
  const at = new Date(written).toISOString()
  const name = layout.scrub(source, written, randomBytes(4))
  const key = await vouchingKey(storage, keys)
  const { checked, unhealed, unchecked, found } = change(before, at)
  const content = {
    ...{ format: 1, kind: 'scrub', source, destination: storage.name, at, before: newest?.time ?? null },
    ...{ key: key?.record ?? null, checked },
    unhealed: Object.fromEntries([...unhealed].map(([shard, runs]) => [shardName(shard), runs])),
    unchecked,
    found: found ?? nothingFound,
  }
  await storage.putIfAbsent(name, encodeDocument(name, scrubSchema.parse(content), key))
  const removal = new Removal(storage)
  for (const old of (await listScrubs(storage, source)).slice(kept)) await removal.remove({ key: old.name })
}

/** The first key of the place that can be opened here; without one a document has a checksum only. */
export async function vouchingKey(storage: Storage, keys: KeyRing): Promise<DataKey | undefined> {
  if (keys.empty) return undefined
  for await (const key of openedKeys(storage, keys)) return key
  return undefined
}

/**
 * The backups of a source that do not count as good at a place: a segment that they name could not be healed there, or they
 * were copied there and their check has not ended good.
 */
export async function unhealedRuns(
  storage: Storage,
  source: string,
  keys: KeyRing,
): Promise<ReadonlySet<string>> {
  const { unhealed, unchecked } = await readScrubRecord(storage, source, keys)
  return new Set([...unhealed.values()].flat().concat(unchecked))
}
