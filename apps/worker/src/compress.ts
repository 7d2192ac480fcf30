import { addChild, jobIds } from '@securyflex/shared/queue'
import { compress, discard } from '@securyflex/shared/segments'
import { dropAll } from './lane.ts'
import { placeOf } from './place.ts'
import type { StepDefinition } from './step.ts'

/** Compresses each segment of a batch, then hands the batch to encrypt. */
export const compressStep: StepDefinition<'compress'> = {
  step: 'compress',
  gaveUp: dropAll,
  async work(call) {
    const { payload, queues, signal } = call
    const place = await placeOf(call, payload)
    if (place === undefined) return { skipped: 'superseded' }
    let bytes = 0
    if ((await place.batch.state()) === 'raw') {
      await place.batch.advance('raw', 'packed', place.cipher, async (writer) => {
        for await (const record of place.batch.read('raw', place.cipher)) {
          signal.throwIfAborted()
          const packed = await compress(record.payload.bytes, payload.options.compression)
          bytes += packed.bytes.length
          await writer.write({ ...record, payload: packed })
          discard(packed.bytes)
          discard(record.payload.bytes)
        }
      })
    }
    const { run, attempt, batch } = payload
    await addChild(queues, run, 'encrypt', jobIds.batch(run, attempt, batch), payload)
    return { bytes }
  },
}
