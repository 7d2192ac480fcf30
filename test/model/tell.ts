import fc from 'fast-check'
import { histories, type History } from './history.ts'
import { play } from './play.ts'

/**
 * Tells histories of a seed.
 * @throws with one line to paste, which plays the shortest history that goes wrong again
 */
export async function tell(seed: number, many: number): Promise<void> {
  const told = await fc.check(fc.asyncProperty(histories, play), { seed, numRuns: many })
  if (!told.failed) return
  const [history] = told.counterexample ?? []
  const from = `seed ${String(seed)}, history ${String(told.numRuns)}, path ${told.counterexamplePath ?? ''}`
  throw new Error(`A promise is broken (${from}). To see it: ${replayed(history)}`, {
    cause: told.errorInstance,
  })
}

const replayed = (history: History | undefined) => `node test/model/replay.ts '${JSON.stringify(history)}'`
