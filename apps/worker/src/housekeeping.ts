import { asBackupError } from '@securyflex/shared/errors'
import type { Queues } from '@securyflex/shared/queue'
import { parseRunId } from '@securyflex/shared/repository'
import { removeAbandoned } from '@securyflex/shared/spool'
import type { WorkerContext } from './context.ts'

/** In ms. */
const interval = 10 * 60 * 1000

async function isUnderWay(queues: Queues, run: string): Promise<boolean> {
  const job = await queues.get('run').getJob(run)
  return job !== undefined && !(await job.isCompleted()) && !(await job.isFailed())
}

/**
 * Removes at once what earlier runs of a source left, for whoever holds the source: there is one at a time, so those
 * that the queues do not know were lost with Redis' data. What they booked would be wanting for an hour.
 */
export async function removeLostRuns(
  { spool, queues, clock, logger }: WorkerContext,
  source: string,
  current: string,
): Promise<void> {
  const isDue = (run: string) => run !== current && parseRunId(run)?.source === source
  const removed = await removeAbandoned(spool, clock(), (run) => isUnderWay(queues, run), isDue)
  for (const run of removed) logger.info('Removed what a lost run left in the spool.', { run })
}

/** Removes what abandoned runs left in the spool, now and every ten minutes. Returns how to stop. */
export function startHousekeeping(context: WorkerContext): () => void {
  const { spool, queues, clock, logger } = context
  const tidy = async () => {
    try {
      const removed = await removeAbandoned(spool, clock(), (run) => isUnderWay(queues, run))
      for (const run of removed) logger.info('Removed what an abandoned run left in the spool.', { run })
    } catch (error) {
      logger.warn(`The spool was not tidied: ${asBackupError(error).message}`, { error })
    }
  }
  void tidy()
  const timer = setInterval(() => void tidy(), interval)
  return () => {
    clearInterval(timer)
  }
}
