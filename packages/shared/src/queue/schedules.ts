import { createHash } from 'node:crypto'
import { prefix } from './names.ts'
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

/** The schedules that Redis keeps: of backups, or of scrubs. */
export async function readSchedules(
  queues: Queues,
  step: 'schedule' | 'scrub' = 'schedule',
): Promise<KeptSchedule[]> {
  const schedulers = await queues.get(step).getJobSchedulers()
  return schedulers.map(({ key, pattern, tz, next }) => ({
    id: key,
    source: key.split('.')[0] ?? key,
    cron: pattern ?? '',
    timeZone: tz ?? '',
    next: next === undefined ? undefined : new Date(next),
  }))
}

/** The mark of the schedules that were set last: producers with other configurations notice each other by it. */
const setKey = `${prefix}:schedules`

/** The same for the same schedules, in whatever order. */
export function markOf(wanted: readonly WantedSchedule[]): string {
  return createHash('sha256').update(wanted.map(schedulerId).sort().join('\n')).digest('hex').slice(0, 16)
}

/** Seconds for which a mark counts: a producer that is there says it again each minute. */
const markLasts = 180

/** Notes that the kept schedules are those of this mark, and that a producer is there that wants them. */
export async function noteSet(queues: Queues, mark: string): Promise<void> {
  await queues.redis.set(setKey, mark, 'EX', markLasts)
}

/** The mark of the schedules that were set last; undefined if no producer is there that set them, or Redis lost it. */
export async function lastSet(queues: Queues): Promise<string | undefined> {
  return (await queues.redis.get(setKey)) ?? undefined
}
