import { setTimeout as delay } from 'node:timers/promises'
import { type Batch, largestBatch, reservationOf } from './batch.ts'
import type { Spool } from './spool.ts'

/** How often a waiting dump looks for room, in ms. */
const pollInterval = 50

/** Batches that were seen freed: a long dump has thousands, and each admission would look into all of them. */
const seenFreed = new WeakMap<Spool, ReadonlySet<string>>()

/** Bytes of the spool that all batches have booked. */
export async function bookedBytes(spool: Spool): Promise<number> {
  const before = seenFreed.get(spool)
  const freed = new Set<string>()
  let total = 0
  for (const run of spool.runs()) {
    for (const attempt of await spool.run(run).attempts()) {
      for await (const batch of attempt.batches()) {
        const bytes = before?.has(batch.directory) === true ? undefined : await batch.reserved()
        if (bytes === undefined || (bytes === 0 && (await batch.isFreed()))) freed.add(batch.directory)
        else total += bytes
      }
    }
  }
  seenFreed.set(spool, freed)
  return total
}

/**
 * Books room for `batch`, waiting until there is some. It books first and counts afterwards: of two dumps
 * that book at once at least one sees both, so the limit holds without a lock between workers.
 * `whileWaiting` is called before each further look and may throw to end the wait.
 */
export async function admit(
  spool: Spool,
  batch: Batch,
  options: { signal: AbortSignal; whileWaiting: () => Promise<void> },
): Promise<void> {
  for (;;) {
    options.signal.throwIfAborted()
    await batch.reserve(reservationOf(largestBatch))
    if ((await bookedBytes(spool)) <= spool.limit) return
    batch.remove()
    await options.whileWaiting()
    await delay(pollInterval * (1 + Math.random()), undefined, { signal: options.signal })
  }
}
