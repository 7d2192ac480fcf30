import { asBackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { layout, longestRun, runOf, timeOfRun } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { readReport } from './history.ts'

/** How long a request may have waited before its run began. */
const longestWait = 24 * 60 * 60 * 1000

/**
 * When the runs of a source began that say at `storage` that they are under way, and have not sealed there. What was
 * the newest there since then, they may be building upon. One whose report is missing or cannot be read is left out.
 * @param sealed runs that have
 */
export async function runsUnderWay(
  storage: Storage,
  source: string,
  keys: KeyRing,
  sealed: readonly string[],
  now: Date,
): Promise<Date[]> {
  const done = new Set(sealed)
  const oldest = now.getTime() - longestRun
  const began: Date[] = []
  for await (const { key } of storage.list(layout.runs(source))) {
    const run = runOf(key)
    if (run === undefined || done.has(run) || timeOfRun(run).getTime() < oldest - longestWait) continue
    const started = await startOf(storage, source, run, keys)
    if (started !== undefined && started.getTime() >= oldest) began.push(started)
  }
  return began
}

/** Undefined if it has ended. */
async function startOf(
  storage: Storage,
  source: string,
  run: string,
  keys: KeyRing,
): Promise<Date | undefined> {
  try {
    const report = await readReport(storage, source, run, keys)
    return report?.outcome === 'running' ? new Date(report.startedAt) : undefined
  } catch (error) {
    if (asBackupError(error).class === 'transient') throw error
    return undefined
  }
}
