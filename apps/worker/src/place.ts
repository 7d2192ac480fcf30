import type { DataKey } from '@securyflex/shared/keys'
import { Sealer } from '@securyflex/shared/segments'
import {
  type Attempt,
  type AttemptFacts,
  type Batch,
  type SpoolCipher,
  spoolCipher,
} from '@securyflex/shared/spool'
import type { WorkerContext } from './context.ts'

/** Where a lane's step finds its batch, and what it needs to read it. */
export interface Place {
  readonly attempt: Attempt
  readonly facts: AttemptFacts
  readonly batch: Batch
  readonly key: DataKey | undefined
  readonly sealer: Sealer
  /** For batch files that hold readable data. */
  readonly cipher: SpoolCipher
}

/**
 * The place of a batch; undefined if its attempt no longer counts (a newer one began, or the run is over),
 * so that there is nothing left to do for it.
 */
export async function placeOf(
  { spool, keys }: WorkerContext,
  { run, attempt: token, batch }: { run: string; attempt: string; batch: number },
): Promise<Place | undefined> {
  const runSpool = spool.run(run)
  if ((await runSpool.current()) !== token) return undefined
  const attempt = runSpool.attempt(token)
  const facts = await attempt.facts()
  if (facts === undefined) return undefined
  const key = facts.key === null ? undefined : await keys.open(facts.key)
  return {
    attempt,
    facts,
    batch: attempt.batch(batch),
    key,
    sealer: sealerOf(key),
    cipher: spoolCipher(key),
  }
}

const sealers = new WeakMap<DataKey, Sealer>()
const openSealer = new Sealer(undefined)

/** One sealer a key: deriving its tables for each batch would cost more than small batches do. */
export function sealerOf(key: DataKey | undefined): Sealer {
  if (key === undefined) return openSealer
  const sealer = sealers.get(key) ?? new Sealer(key)
  sealers.set(key, sealer)
  return sealer
}
