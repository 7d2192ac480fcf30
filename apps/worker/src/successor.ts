import { asBackupError } from '@securyflex/shared/errors'
import { addChild, endOf, type Payloads } from '@securyflex/shared/queue'
import type { StepCall } from './step.ts'

/**
 * A step at one destination is done: the next one there need not wait for the run to wake and say the same. Its job has
 * the id of this one's in its own queue. Were this worker to die before, the run adds it; so it does if the queue does not
 * take it. A run that has ended (this step was retried by hand) decides anew when it is resumed.
 */
export async function addSuccessor(
  {
    queues,
    payload,
    job,
    logger,
  }: Pick<StepCall<'seal' | 'verify'>, 'queues' | 'payload' | 'job' | 'logger'>,
  step: 'verify' | 'prune',
): Promise<void> {
  const { v, run, source, destination, retentionDays } = payload
  const kept: Pick<Payloads['prune'], 'retentionDays'> = retentionDays === undefined ? {} : { retentionDays }
  try {
    if ((await endOf(queues, run)) !== undefined) return
    await addChild(queues, run, step, job.id ?? '', { v, run, source, destination, ...kept })
  } catch (error) {
    logger.warn(`The run asks for ${step} itself: ${asBackupError(error).message}`, { error })
  }
}
