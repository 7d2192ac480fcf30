import { BackupError } from '@securyflex/shared/errors'
import {
  type DumpedStream,
  findInAny,
  listRuns,
  longestRun,
  type OpenManifest,
  predecessorOf,
  readBackup,
  refuseForeign,
  sealBackup,
  oldestAllowed,
} from '@securyflex/shared/repository'
import { type ListEntry, SegmentIndex } from '@securyflex/shared/segments'
import type { Attempt } from '@securyflex/shared/spool'
import type { Storage } from '@securyflex/shared/storage'
import { storageOf } from './context.ts'
import { sealerOf } from './place.ts'
import { type StepCall, type StepDefinition, warner } from './step.ts'
import { addSuccessor } from './successor.ts'
import { productVersion } from './version.ts'

/** Makes the backup exist at one destination. */
export const sealStep: StepDefinition<'seal'> = {
  step: 'seal',
  async work(call) {
    const storage = storageOf(call, call.payload.destination)
    const opened = await sealOrFind(call, storage)
    if (opened === undefined) return { skipped: 'superseded' }
    await addSuccessor(call, 'verify')
    const { sealedAt, stored } = opened.manifest
    return { sealedAt, stored, manifest: opened.hash }
  },
}

/** Where the spool has not kept what sealing needs, an earlier execution may have sealed before it was lost. */
async function sealOrFind(call: StepCall<'seal'>, storage: Storage): Promise<OpenManifest | undefined> {
  try {
    return (await seal(call, storage)) ?? (await sealedBefore(call, storage))
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'SPOOL_DAMAGED') throw error
    const before = await sealedBefore(call, storage)
    if (before === undefined) throw error
    return before
  }
}

/** The manifest of this attempt, if it is there. */
async function sealedBefore(
  { payload: { source, run, dump }, keys }: StepCall<'seal'>,
  storage: Storage,
): Promise<OpenManifest | undefined> {
  if (!(await listRuns(storage, source)).includes(run)) return undefined
  const opened = await readBackup(storage, source, run, keys)
  return opened.manifest.attempt === dump.attempt ? opened : undefined
}

/** @returns undefined if the attempt no longer counts */
async function seal(call: StepCall<'seal'>, storage: Storage): Promise<OpenManifest | undefined> {
  const { payload, spool, keys, clock, signal } = call
  const { run, source, destination, dump } = payload
  const runSpool = spool.run(run)
  if ((await runSpool.current()) !== dump.attempt) return undefined
  const attempt = runSpool.attempt(dump.attempt)
  const facts = await attempt.facts()
  if (facts === undefined) return undefined
  const elapsed = () => clock().getTime() - new Date(dump.startedAt).getTime()
  refuseTooLate(elapsed())
  // The key of the attempt, not today's: it sealed the segments that this manifest names.
  const key = facts.key === null ? undefined : await keys.open(facts.key)
  const writing = { key, installation: await ownInstallation(call, storage) }
  const predecessor = await predecessorOf(storage, source, keys, key, warner(call))
  const added = await addedAt(attempt, destination, dump.batches)
  if (predecessor !== undefined) {
    const kinds = dump.streams.map(({ kind }) => kind)
    const lacking = await lackingOf(attempt, kinds, [added, predecessor.index])
    const older = await findInAny({ storage, source, keys, key, lacking })
    for (const entry of older) predecessor.index.add(entry)
  }
  return sealBackup({
    storage,
    writing,
    sealer: sealerOf(key),
    keys,
    facts: factsOf(call),
    streams: dump.streams.map((stream) => ({
      ...stream,
      entries: () => located(attempt, stream.kind, added, predecessor?.index),
    })),
    stored: { segments: added.size, bytes: sealedBytes(added) },
    predecessor,
    oldest: await oldestAllowed(storage, elapsed),
    now: clock(),
    signal,
  })
}

/** The installation whose repository this is, made sure to be ours still. */
async function ownInstallation({ keys, config }: StepCall<'seal'>, storage: Storage): Promise<string> {
  const installation = await refuseForeign(storage, keys, config.installation)
  if (installation !== undefined) return installation
  throw new BackupError('STORAGE_REFUSED', `The repository in ${storage.shown} is gone.`, {
    hint: 'See what happened to its place; the next run makes a new one.',
  })
}

/** What a run may name without storing it is sure to stay only this long; docs/format.md, last section. */
function refuseTooLate(elapsed: number): void {
  if (elapsed <= longestRun) return
  throw new BackupError('STALLED', 'The run took longer than 48 hours, so what it builds upon may be gone.', {
    hint: 'Ask for a new one: npm run backup',
  })
}

function factsOf({ payload }: StepCall<'seal'>) {
  const { run, source, destination, requestedAt, options, dump } = payload
  const { attempt, startedAt, snapshotAt, server, database, tool } = dump
  return {
    run,
    attempt,
    source,
    destination,
    product: productVersion,
    requestedAt,
    startedAt,
    snapshotAt,
    server,
    database,
    tool,
    options,
  }
}

/** What this run's uploads stored at the destination, from the batches' own records. */
async function addedAt(attempt: Attempt, destination: string, batches: number): Promise<SegmentIndex> {
  const index = new SegmentIndex()
  for (let number = 1; number <= batches; number++) {
    const entries = await attempt.batch(number).doneEntries(destination)
    if (entries === undefined) throw nothingOf(number, destination)
    for (const entry of entries) index.add(entry)
  }
  return index
}

/** A destination is sealed when it has every batch. */
function nothingOf(batch: number, destination: string): BackupError {
  const what = `The spool does not say what ${destination} has of batch ${String(batch)}.`
  return new BackupError('SPOOL_DAMAGED', what, {
    hint: 'The backup is made again from a new dump; check the disk if this recurs.',
  })
}

/** What the streams need and nobody knows to be there, each once. */
async function lackingOf(
  attempt: Attempt,
  kinds: readonly string[],
  known: readonly SegmentIndex[],
): Promise<Buffer[]> {
  const lacking = new Map<string, Buffer>()
  for (const kind of kinds) {
    for await (const { id } of attempt.readStreamList(kind)) {
      if (!known.some((index) => index.has(id))) lacking.set(id.toString('hex'), Buffer.from(id))
    }
  }
  return [...lacking.values()]
}

/** The stream's segments in order, each with its place at the destination. */
async function* located(
  attempt: Attempt,
  kind: string,
  added: SegmentIndex,
  referenced: SegmentIndex | undefined,
): ReturnType<DumpedStream['entries']> & AsyncGenerator<ListEntry> {
  for await (const { id } of attempt.readStreamList(kind)) {
    const entry = added.get(id) ?? referenced?.get(id)
    if (entry === undefined) {
      throw new BackupError(
        'SEGMENT_MISSING',
        `Segment ${id.toString('hex')} of the ${kind} stream was not stored.`,
      )
    }
    yield entry
  }
}

function sealedBytes(index: SegmentIndex): number {
  let bytes = 0
  for (const { sealedLength } of index) bytes += sealedLength
  return bytes
}
