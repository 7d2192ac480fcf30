import { discard } from '@securyflex/shared/segments'
import { addChild, jobIds } from '@securyflex/shared/queue'
import { dropAll, release } from './lane.ts'
import { placeOf } from './place.ts'
import type { StepDefinition } from './step.ts'

/** Seals each segment of a batch as it will be stored, then hands the batch to every destination. */
export const encryptStep: StepDefinition<'encrypt'> = {
  step: 'encrypt',
  gaveUp: dropAll,
  async work(call) {
    const { payload, queues, signal } = call
    const place = await placeOf(call, payload)
    if (place === undefined) return { skipped: 'superseded' }
    const { batch, sealer, cipher, facts } = place
    let bytes = 0
    if ((await batch.state()) === 'packed') {
      await batch.advance('packed', 'sealed', undefined, async (writer) => {
        for await (const record of batch.read('packed', cipher)) {
          signal.throwIfAborted()
          const sealed = sealer.seal(record.id, record.payload, record.plainLength, payload.options.cipher)
          bytes += sealed.length
          discard(record.payload.bytes)
          await writer.write({ ...record, payload: { compression: 0, bytes: sealed } })
          discard(sealed)
        }
      })
    }
    const { run, attempt } = payload
    const source = payload.source
    const dropped = await place.attempt.dropped()
    for (const destination of facts.destinations) {
      if (dropped.has(destination)) {
        if (!batch.isDone(destination)) await release(place, destination, [])
        continue
      }
      const id = jobIds.batch(run, attempt, payload.batch)
      const upload = { v: 1 as const, run, source, attempt, batch: payload.batch, destination }
      await addChild(queues, run, 'upload', id, upload, destination)
    }
    return { bytes }
  },
}
