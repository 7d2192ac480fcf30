import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { parseRunId, unhealedRuns } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { readReport } from './history.ts'

/** Reports that are read at a time. */
const parallel = 8

/**
 * Of these runs, those whose backups are no good at `storage`: they were sealed there and did not pass their checks, as
 * their reports say, or the newest scrub found segments of theirs missing or bad and could not heal them. A run whose
 * report is missing or cannot be read counts as good.
 */
export async function unsoundRuns(
  storage: Storage,
  keys: KeyRing,
  runs: readonly string[],
): Promise<ReadonlySet<string>> {
  const unsound = new Set<string>()
  for (const source of new Set(runs.flatMap((run) => parseRunId(run)?.source ?? []))) {
    const unhealed = await unhealedRuns(storage, source, keys)
    for (const run of runs) if (unhealed.has(run)) unsound.add(run)
  }
  const queue = runs.values()
  const work = async () => {
    for (const run of queue) if (await failedHere(storage, keys, run)) unsound.add(run)
  }
  await Promise.all(Array.from({ length: parallel }, work))
  return unsound
}

async function failedHere(storage: Storage, keys: KeyRing, run: string): Promise<boolean> {
  try {
    const report = await readReport(storage, parseRunId(run)?.source ?? '', run, keys)
    const here = report?.destinations.find(({ name }) => name === storage.name)
    // One that its run never sealed here, and that is here, came another way.
    return here?.outcome === 'failed' && here.stored !== undefined
  } catch (error) {
    if (error instanceof BackupError && error.class !== 'transient') return false
    throw error
  }
}
