import { storeSegment } from '@securyflex/shared/repository'
import { discard, type ListEntry } from '@securyflex/shared/segments'
import { storageOf } from './context.ts'
import { type Place, placeOf } from './place.ts'
import type { StepCall, StepDefinition } from './step.ts'

/** Segments that one job stores at the same time: enough to hide latency, few enough to bound memory. */
const parallel = 3

/** Stores the segments of a batch that one destination lacks. */
export const uploadStep: StepDefinition<'upload'> = {
  step: 'upload',
  async work(call) {
    const { destination } = call.payload
    const place = await placeOf(call, call.payload)
    if (place === undefined) return { skipped: 'superseded' }
    const dropped = await place.attempt.dropped()
    if (dropped.has(destination)) {
      await release(place, destination, [])
      return { skipped: 'done' }
    }
    const before = await place.batch.doneEntries(destination)
    const entries = before ?? (await store(call, place))
    await release(place, destination, entries)
    return { segments: entries.length, bytes: entries.reduce((sum, entry) => sum + entry.sealedLength, 0) }
  },
  async gaveUp(call, error) {
    const place = await placeOf(call, call.payload)
    await place?.attempt.drop(call.payload.destination, error.message)
    if (place !== undefined) await release(place, call.payload.destination, [])
  },
}

async function store(
  { payload, signal, ...context }: StepCall<'upload'>,
  place: Place,
): Promise<ListEntry[]> {
  const storage = storageOf(context, payload.destination)
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

/** Records what the destination has, and frees the batch's room once all are through with it. */
async function release(place: Place, destination: string, entries: ListEntry[]): Promise<void> {
  if ((await place.batch.state()) === 'gone') return
  await place.batch.markDone(destination, entries)
  await place.batch.freeIfDone(place.facts.destinations)
}
