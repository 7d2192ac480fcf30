import { asBackupError, BackupError } from '@securyflex/shared/errors'
import { storeSegment } from '@securyflex/shared/repository'
import { discard, type ListEntry } from '@securyflex/shared/segments'
import { unlessDamaged } from '@securyflex/shared/spool'
import { storageOf } from './context.ts'
import { drop, DropWatch } from './drop.ts'
import { release } from './lane.ts'
import { type Place, placeOf } from './place.ts'
import type { StepCall, StepDefinition } from './step.ts'

/** Segments that one job stores at the same time: enough to hide latency, few enough to bound memory. */
const parallel = 3
/** In ms. */
const minute = 60_000

/** Stores the segments of a batch that one destination lacks. */
export const uploadStep: StepDefinition<'upload'> = {
  step: 'upload',
  async work(call) {
    const { destination } = call.payload
    const place = await placeOf(call, call.payload)
    if (place === undefined) return { skipped: 'superseded' }
    const entries = (await place.batch.doneEntries(destination)) ?? (await storeUnlessDropped(call, place))
    await release(place, destination, entries ?? [])
    if (entries === undefined) return { skipped: 'done' }
    return { segments: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.sealedLength, 0) }
  },
  async gaveUp(call, error) {
    const place = await unlessDamaged(placeOf(call, call.payload))
    if (place === undefined) return
    const { run, destination } = call.payload
    await drop(call, { run, attempt: place.attempt }, destination, error)
    await release(place, destination, [])
  },
}

/** What the destination holds of the batch now; undefined if it was dropped, meanwhile or before. */
async function storeUnlessDropped(call: StepCall<'upload'>, place: Place): Promise<ListEntry[] | undefined> {
  const { destination } = call.payload
  if ((await place.attempt.dropped()).has(destination)) return undefined
  using watch = new DropWatch(place.attempt, destination)
  try {
    const entries = await store({ ...call, signal: AbortSignal.any([call.signal, watch.signal]) }, place)
    await place.attempt.forgetTrouble(destination)
    return entries
  } catch (error) {
    if (watch.signal.aborted) return undefined
    if (!call.signal.aborted) await refuseIfStalled(call, place, asBackupError(error))
    throw error
  }
}

/**
 * Each batch has its tries, but the destination has `BACKUP_STALL_MINUTES` for all of them: the run waits.
 * @throws STALLED
 */
async function refuseIfStalled(call: StepCall<'upload'>, place: Place, error: BackupError): Promise<void> {
  const { payload, config, clock } = call
  const since = await place.attempt.noteTrouble(payload.destination, clock())
  if (clock().getTime() - since.getTime() < config.stallMinutes * minute) return
  const minutes = String(config.stallMinutes)
  throw new BackupError(
    'STALLED',
    `Nothing was stored in ${payload.destination} for ${minutes} minutes: ${error.message}`,
    { ...(error.hint === undefined ? {} : { hint: error.hint }), cause: error },
  )
}

async function store(
  { payload, signal, ...context }: StepCall<'upload'>,
  place: Place,
): Promise<ListEntry[]> {
  const storage = storageOf({ ...context, signal }, payload.destination)
  const mine = place.facts.destinations.indexOf(payload.destination)
  const entries: ListEntry[] = []
  const records = place.batch.read('sealed', undefined)
  const work = async () => {
    for (;;) {
      signal.throwIfAborted()
      const next = await records.next()
      if (next.done === true) return
      const record = next.value
      if (!record.destinations.includes(mine)) continue
      const { id, plainLength } = record
      const segment = { id, plainLength, sealed: record.payload.bytes }
      entries.push(await storeSegment(storage, payload.source, place.sealer, segment))
      discard(segment.sealed)
    }
  }
  try {
    await Promise.all(Array.from({ length: parallel }, work))
  } finally {
    await records.return(undefined)
  }
  return entries
}
