import { BackupError } from '@securyflex/shared/errors'
import {
  type DumpedStream,
  longestRun,
  predecessorOf,
  readInstallation,
  referenceOlder,
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
import { productVersion } from './version.ts'

/** Makes the backup exist at one destination. */
export const sealStep: StepDefinition<'seal'> = {
  step: 'seal',
  async work(call) {
    const { payload, spool, keys, clock, signal } = call
    const { run, source, destination, dump } = payload
    const storage = storageOf(call, destination)
    const runSpool = spool.run(run)
    if ((await runSpool.current()) !== dump.attempt) return { skipped: 'superseded' }
    const attempt = runSpool.attempt(dump.attempt)
    const facts = await attempt.facts()
    if (facts === undefined) return { skipped: 'superseded' }
    const elapsed = clock().getTime() - new Date(dump.startedAt).getTime()
    refuseTooLate(elapsed)
    // The key of the attempt, not today's: it sealed the segments that this manifest names.
    const key = facts.key === null ? undefined : await keys.open(facts.key)
    const writing = { key, installation: await ownInstallation(call, storage) }
    const predecessor = await predecessorOf(storage, source, keys, key, warner(call))
    const added = await addedAt(attempt, destination, dump.batches)
    if (predecessor !== undefined) {
      const wanted = await unknownOf(attempt, dump.streams, added, predecessor.index)
      await referenceOlder(storage, source, keys, predecessor, wanted)
    }
    const opened = await sealBackup({
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
    const { sealedAt, stored } = opened.manifest
    return { sealedAt, stored, manifest: opened.hash }
  },
}

/** The installation whose repository this is, made sure to be ours still. */
async function ownInstallation({ keys, config }: StepCall<'seal'>, storage: Storage): Promise<string> {
  await refuseForeign(storage, keys, config.installation)
  const installation = await readInstallation(storage)
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
    for (const entry of (await attempt.batch(number).doneEntries(destination)) ?? []) index.add(entry)
  }
  return index
}

/** The segments that neither this run stored nor the newest backup names: that is not the one that the dump built upon. */
async function unknownOf(
  attempt: Attempt,
  streams: readonly { readonly kind: string }[],
  added: SegmentIndex,
  referenced: SegmentIndex,
): Promise<Set<string>> {
  const unknown = new Set<string>()
  for (const { kind } of streams) {
    for await (const { id } of attempt.readStreamList(kind)) {
      if (!added.has(id) && !referenced.has(id)) unknown.add(id.toString('hex'))
    }
  }
  return unknown
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
