import type { Spool } from './spool.ts'

/** A run nobody has touched for this long, and that no queue knows, is left over. In ms. */
const abandonedAfter = 60 * 60 * 1000

/**
 * Removes runs that nobody will come back for, and what killed workers left unfinished beside them.
 * @param isKnown whether the queues still know a run
 * @param isDue which runs are looked at, by id and last sign of life; default: those without one for an hour
 * @returns the ids of the removed runs
 */
export async function removeAbandoned(
  spool: Spool,
  now: Date,
  isKnown: (run: string) => Promise<boolean>,
  isDue: (run: string, touched: Date) => boolean = (_, touched) =>
    now.getTime() - touched.getTime() >= abandonedAfter,
): Promise<string[]> {
  await spool.removeUnfinished(now)
  const removed: string[] = []
  for (const id of spool.runs()) {
    const run = spool.run(id)
    const touched = await run.lastTouched()
    if (touched === undefined || !isDue(id, touched)) continue
    if (await isKnown(id)) continue
    await run.remove()
    removed.push(id)
  }
  return removed
}
