import { createHash } from 'node:crypto'
import type { Schedule, SourceSettings } from '@securyflex/shared/config'
import { CronExpressionParser } from 'cron-parser'

/**
 * A slot is a moment at which a schedule is due. These functions are pure; cron-parser, which BullMQ uses too, says
 * what an expression means on the days on which clocks are changed: a time that does not exist comes an hour later,
 * and of one that exists twice the first is meant, unless the hour is open (`*`).
 */

/** The first `many` slots after `after`; fewer if the expression ends. */
export function nextSlots({ cron, timeZone }: Schedule, after: Date, many: number): Date[] {
  const expression = CronExpressionParser.parse(cron, { currentDate: after, tz: timeZone })
  return Array.from({ length: many }, () => expression.next().toDate())
}

/** The newest slot that is not after `now`. */
export function newestSlot({ cron, timeZone }: Schedule, now: Date): Date {
  // The parser looks before the moment that it is given, and a slot at that very moment counts.
  const currentDate = new Date(now.getTime() + 1)
  return CronExpressionParser.parse(cron, { currentDate, tz: timeZone }).prev().toDate()
}

/**
 * The slot to ask for once `slot` has been found passed: the newest one that is due, since it covers those before it.
 * @returns undefined if even that one is later than `latenessHours`
 */
export function slotToAsk(
  schedule: Schedule,
  slot: Date,
  now: Date,
  latenessHours: number,
): Date | undefined {
  const newest = newestSlot(schedule, now)
  const due = newest > slot ? newest : slot
  return now.getTime() - due.getTime() <= latenessHours * hour ? due : undefined
}

const hour = 3_600_000
const minute = 60_000

/** By how many milliseconds a source's schedules begin later: always the same for one source, evenly spread over all. */
export function spreadOf(source: string, { spreadMinutes }: Pick<SourceSettings, 'spreadMinutes'>): number {
  if (spreadMinutes === 0) return 0
  const share = createHash('sha256').update(source).digest().readUInt32BE(0) / 2 ** 32
  return Math.floor(share * spreadMinutes * minute)
}

/** When a backup is planned, and by which schedule. */
export interface PlannedTime {
  readonly schedule: Schedule
  readonly at: Date
}

/** The next `many` times at which a source's backups begin, its spread included. */
export function nextTimes(
  source: string,
  settings: Pick<SourceSettings, 'schedules' | 'spreadMinutes'>,
  now: Date,
  many: number,
): PlannedTime[] {
  const spread = spreadOf(source, settings)
  const after = new Date(now.getTime() - spread)
  return settings.schedules
    .flatMap((schedule) =>
      nextSlots(schedule, after, many).map((slot) => ({ schedule, at: new Date(slot.getTime() + spread) })),
    )
    .sort((a, b) => a.at.getTime() - b.at.getTime())
    .slice(0, many)
}
