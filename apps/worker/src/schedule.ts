import { asBackupError } from '@securyflex/shared/errors'
import { parsePayload, type Requested, requestSlot } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { type Job, UnrecoverableError } from 'bullmq'
import type { WorkerContext } from './context.ts'
import { failureText } from './failure.ts'

/** A schedule's slot has come: asks for its run, and does nothing else. */
export async function schedule({ queues, logger, clock }: WorkerContext, job: Job): Promise<Requested> {
  const { source } = parse(job)
  const slot = slotOf(job)
  const now = clock()
  const requested = await requestSlot(queues, newRunId(source, now), {
    v: 1,
    source,
    requestedBy: 'schedule',
    requestedAt: now.toISOString(),
    slot: slot.toISOString(),
    options: {},
  })
  if (!requested.accepted) {
    logger.warn(`The scheduled backup of ${source} was skipped: ${requested.run} is still under way.`)
  }
  return requested
}

function parse(job: Job): { source: string } {
  try {
    return parsePayload('schedule', job.data)
  } catch (error) {
    throw new UnrecoverableError(failureText(asBackupError(error)))
  }
}

/** The time that the schedule meant: BullMQ names a scheduler's job `repeat:<scheduler>:<milliseconds>`. */
function slotOf(job: Job): Date {
  const milliseconds = /:(\d+)$/.exec(job.id ?? '')?.[1]
  return new Date(milliseconds === undefined ? job.timestamp : Number(milliseconds))
}
