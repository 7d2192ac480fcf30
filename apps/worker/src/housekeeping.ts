import { asBackupError } from '@securyflex/shared/errors'
import { removeAbandoned } from '@securyflex/shared/spool'
import type { WorkerContext } from './context.ts'

/** In ms. */
const interval = 10 * 60 * 1000

/** Removes what abandoned runs left in the spool, now and every ten minutes. Returns how to stop. */
export function startHousekeeping(context: WorkerContext): () => void {
  const { spool, queues, clock, logger } = context
  const tidy = async () => {
    try {
      const removed = await removeAbandoned(spool, clock(), async (run) => {
        const job = await queues.get('run').getJob(run)
        return job !== undefined && !(await job.isCompleted()) && !(await job.isFailed())
      })
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
