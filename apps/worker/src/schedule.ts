import { settingsOf } from '@securyflex/shared/config'
import { asBackupError } from '@securyflex/shared/errors'
import { parsePayload, type Requested, requestSlot, schedulerId } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { slotToAsk, spreadOf } from '@securyflex/shared/schedule'
import { type Job, UnrecoverableError } from 'bullmq'
import type { WorkerContext } from './context.ts'
import { failureText } from './failure.ts'
import { slotOf } from './slot.ts'

/** What a schedule's job comes to: a run, or a slot that is left out: it is too late for it, or the source is paused. */
export type Scheduled = Requested | { readonly leftOut: string }

/**
 * A schedule's slot has come: asks for its run, and does nothing else. After an outage the slot may be long gone, and
 * others after it: then the newest is asked for, once, whoever finds it first.
 */
export async function schedule(context: WorkerContext, job: Job): Promise<Scheduled> {
  const { config, queues, logger, clock } = context
  const { source } = parse(job)
  const now = clock()
  const { id, slot: due } = slotOf(job)
  const settings = settingsOf(config, source)
  const own = settings.schedules.find((one) => schedulerId({ source, ...one }) === id)
  // A worker that does not know the schedule (another configuration) takes the slot as it is.
  const slot = own === undefined ? due : slotToAsk(own, due, now, settings.latenessHours)
  if (slot === undefined) {
    logger.warn(
      `The backup of ${source} due at ${due.toISOString()} is left out: it is later than ${String(settings.latenessHours)} h (latenessHours).`,
    )
    return { leftOut: due.toISOString() }
  }
  const requested = await requestSlot(
    queues,
    newRunId(source, now),
    {
      v: 1,
      source,
      requestedBy: 'schedule',
      requestedAt: now.toISOString(),
      slot: slot.toISOString(),
      options: {},
    },
    {
      delay: Math.max(0, slot.getTime() + spreadOf(source, settings) - now.getTime()),
      overlap: settings.overlap,
    },
  )
  if (requested === undefined) return { leftOut: slot.toISOString() }
  if (requested.again) {
    logger.info(`The scheduled backup of ${source} is made after ${requested.run}, which is under way.`)
  } else if (!requested.accepted) {
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
