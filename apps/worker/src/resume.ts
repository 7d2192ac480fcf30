import { asBackupError } from '@securyflex/shared/errors'
import { endOf, queueName } from '@securyflex/shared/queue'
import type { Job } from 'bullmq'
import type { WorkerContext } from './context.ts'

/**
 * A step that was retried by hand after its run had failed is done: the run goes on, in a new generation.
 * In the ordinary course a run ends after its steps, so this does nothing.
 */
export async function resumeRun({ queues, logger }: WorkerContext, job: Job): Promise<void> {
  const id = job.parent?.id
  // A message that was sent again is no reason for another backup.
  if (id === undefined || job.queueName === queueName('notify')) return
  try {
    const runs = queues.get('run')
    // All that is asked in the ordinary course, after each step.
    const ended = await endOf(queues, id)
    if (ended === undefined || (job.processedOn ?? 0) <= ended) return
    const run = await runs.getJob(id)
    if (run === undefined || !(await run.isFailed())) return
    await run.retry('failed')
    logger.info(`A step of ${id} was retried, so the run goes on.`, { run: id })
  } catch (error) {
    logger.warn(`The run ${id} was not resumed: ${asBackupError(error).message}`, { run: id, error })
  }
}
