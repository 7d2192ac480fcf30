import type { Queues } from './queues.ts'

/** A schedule as BullMQ keeps it, one a source. */
export interface KeptSchedule {
  /** The source's name. */
  readonly source: string
  readonly cron: string
  readonly timeZone: string
  /** When it fires next; in the past if no worker was there to take it. */
  readonly next: Date | undefined
}

/** The schedules that Redis keeps. */
export async function readSchedules(queues: Queues): Promise<KeptSchedule[]> {
  const schedulers = await queues.get('schedule').getJobSchedulers()
  return schedulers.map(({ key, pattern, tz, next }) => ({
    source: key,
    cron: pattern ?? '',
    timeZone: tz ?? '',
    next: next === undefined ? undefined : new Date(next),
  }))
}
