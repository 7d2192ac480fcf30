import { createHash } from 'node:crypto'
import type { Queues } from './queues.ts'

/** One of a source's schedules as it is to be kept. */
export interface WantedSchedule {
  readonly source: string
  readonly cron: string
  readonly timeZone: string
}

/** A schedule as BullMQ keeps it. */
export interface KeptSchedule extends WantedSchedule {
  /** The job scheduler's. */
  readonly id: string
  /** When it fires next; in the past if no worker was there to take it. */
  readonly next: Date | undefined
}

/**
 * The id of a schedule's job scheduler: a changed schedule is another one, so that what is kept under an id never
 * changes. Setting one again while its job is overdue would delete that job.
 */
export function schedulerId({ source, cron, timeZone }: WantedSchedule): string {
  return `${source}.${createHash('sha256').update(`${cron} ${timeZone}`).digest('hex').slice(0, 8)}`
}

/** The schedules that Redis keeps. */
export async function readSchedules(queues: Queues): Promise<KeptSchedule[]> {
  const schedulers = await queues.get('schedule').getJobSchedulers()
  return schedulers.map(({ key, pattern, tz, next }) => ({
    id: key,
    source: key.split('.')[0] ?? key,
    cron: pattern ?? '',
    timeZone: tz ?? '',
    next: next === undefined ? undefined : new Date(next),
  }))
}
