import type { Config } from '@securyflex/shared/config'
import { claimPlace, isCancelled, leaveClaim, requestAgain, waitOf } from '@securyflex/shared/queue'
import { asBackupError } from '@securyflex/shared/errors'
import { parseRunId } from '@securyflex/shared/repository'
import { DelayedError, type Job } from 'bullmq'
import type { WorkerContext } from './context.ts'

/** A run that waits for its turn looks again after so many ms; when a run ends, it is told at once. */
const patience = 5000

/**
 * Takes one of the places for runs that are made at a time, on all workers. A run that gets none gives its worker's
 * slot back, says what it waits for, and comes back later, at no attempt's cost.
 * @param begun has the place in any case: what has begun is not stopped half-way
 * @throws DelayedError while it waits
 */
export async function takePlace(
  { config, queues, clock, logger }: WorkerContext,
  job: Job,
  token: string,
  source: string,
  begun: boolean,
): Promise<void> {
  const run = job.id ?? ''
  // A cancelled run only has its end to tell.
  const must = begun || (await isCancelled(queues.redis, run))
  const claim = { run, server: serverOf(config, source), now: clock(), must }
  const wait = await claimPlace(queues.redis, config.limits, claim)
  if (wait === undefined) {
    if (waitOf(job) !== undefined) await job.updateProgress({})
    return
  }
  if (waitOf(job) !== wait.for) {
    await job.updateProgress({ waitsFor: wait.for })
    await job.log(`${clock().toISOString()} waits for ${wait.for}`)
    logger.info(`It waits for ${wait.for}.`, { run })
  }
  await job.moveToDelayed(Date.now() + patience, token)
  throw new DelayedError()
}

/** By which runs of a source are counted; one that is configured nowhere is refused soon, and counts by itself. */
function serverOf({ sources, groups }: Config, source: string): string {
  const known =
    sources.find(({ name }) => name === source) ?? groups.find(({ name }) => source.startsWith(`${name}-`))
  return known?.server ?? source
}

/**
 * A run has ended: its place goes to another, and the one more run that was asked for meanwhile is requested. If
 * this worker dies first, the next run that looks for a place, and the producer, do the same.
 */
export async function runEnded({ queues, logger }: WorkerContext, job: Job): Promise<void> {
  const run = job.id ?? ''
  if (job.finishedOn === undefined) return
  try {
    await leaveClaim(queues, run)
    const source = parseRunId(run)?.source
    const next = source === undefined ? undefined : await requestAgain(queues, source)
    if (next !== undefined) {
      logger.info(`${run} has ended; the one more that was asked for is ${next}.`, { run: next })
    }
  } catch (error) {
    logger.warn(`What waits for the end of ${run} begins later: ${asBackupError(error).message}`, { error })
  }
}
