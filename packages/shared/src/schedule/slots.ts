import { createHash } from 'node:crypto'
import type { Schedule, SourceGroup, SourceSettings } from '@securyflex/shared/config'
import { CronExpressionParser } from 'cron-parser'

const minute = 60_000
const hour = 60 * minute

/**
 * A slot is a moment at which a schedule is due. These functions are pure. cron-parser says which times of day an
 * expression means; what they are on the days on which clocks are changed is decided here, as cron does it (cron(8)
 * of Debian): a time that does not exist comes later by as much as the clock is set forward, of one that exists twice
 * the first is meant; a schedule of every hour (`*`) just follows the clock. It differs from cron(8) where a schedule is
 * of every so many hours: these are times of day here, while cron has whatever begins with `*` follow the clock, so that
 * midnight may be left out, or come twice. cron-parser's own answer leaves out a whole day where clocks change at
 * midnight, as in Cairo.
 */

/** The first `many` slots after `after`. */
export function nextSlots(schedule: Schedule, after: Date, many: number): Date[] {
  const slots: Date[] = []
  while (slots.length < many) slots.push(nextSlot(schedule, slots.at(-1) ?? after))
  return slots
}

/** The first slot after `after`. */
function nextSlot(schedule: Schedule, after: Date): Date {
  const { times, margin, everyHour } = timesOfDay(schedule)
  times.reset(new Date(wallClock(schedule, after.getTime()) - margin))
  let best: number | undefined
  for (;;) {
    const time = times.next().toDate().getTime()
    // Where clocks are set forward, a later time of day may come before one that has moved.
    if (best !== undefined && time > wallClock(schedule, best) + margin) return new Date(best)
    for (const slot of momentsOf(schedule, everyHour, time)) {
      if (slot > after.getTime() && slot < (best ?? Infinity)) best = slot
    }
  }
}

/** The newest slot that is not after `now`. */
export function newestSlot(schedule: Schedule, now: Date): Date {
  const { times, margin, everyHour } = timesOfDay(schedule)
  times.reset(new Date(wallClock(schedule, now.getTime()) + margin))
  let best: number | undefined
  for (;;) {
    const time = times.prev().toDate().getTime()
    if (best !== undefined && time < wallClock(schedule, best) - margin) return new Date(best)
    for (const slot of momentsOf(schedule, everyHour, time)) {
      if (slot <= now.getTime() && slot > (best ?? -Infinity)) best = slot
    }
  }
}

/** The times of day that the expression means, as if they were UTC, which knows no change of clocks. */
function timesOfDay({ cron }: Schedule) {
  const times = CronExpressionParser.parse(cron, { tz: 'UTC' })
  // However it is written: `*`, `?`, `0-23` or `*/1`.
  const everyHour = times.fields.hour.values.length === 24
  // More than clocks are changed at once. The days that zones left out when they crossed the date line are the longest.
  return { times, everyHour, margin: (everyHour ? 3 : 26) * hour }
}

/** What clocks in the schedule's zone show at a moment, as if that were UTC; in ms. */
function wallClock({ timeZone }: Schedule, moment: number): number {
  const { offsetNanoseconds } = Temporal.Instant.fromEpochMilliseconds(moment).toZonedDateTimeISO(timeZone)
  return moment + offsetNanoseconds / 1e6
}

/** The moments at which a time of day is due: one; or for a schedule of every hour none, one or two. */
function momentsOf(schedule: Schedule, everyHour: boolean, time: number): number[] {
  const wall = Temporal.Instant.fromEpochMilliseconds(time).toZonedDateTimeISO('UTC').toPlainDateTime()
  const at = (disambiguation: 'earlier' | 'later') =>
    wall.toZonedDateTime(schedule.timeZone, { disambiguation }).epochMilliseconds
  const [earlier, later] = [at('earlier'), at('later')]
  if (earlier === later) return [earlier]
  const exists = wallClock(schedule, earlier) === time
  if (everyHour) return exists ? [earlier, later] : []
  return [exists ? earlier : later]
}

/** What BullMQ asks when it plans a scheduler's next job (`settings.repeatStrategy` of its queues and workers). */
export function repeatStrategy(
  now: number,
  repeat: { readonly pattern?: string; readonly tz?: string },
): number {
  return nextSlot({ cron: repeat.pattern ?? '', timeZone: repeat.tz ?? 'UTC' }, new Date(now)).getTime()
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

/** What of a source, a group or the defaults says when its schedules begin. */
type Spread = Pick<SourceSettings, 'spreadMinutes'> & Partial<Pick<SourceGroup, 'name' | 'withoutDatabases'>>

/**
 * By how many milliseconds a source's schedules begin later: always the same for one source, evenly spread over all.
 * A group's own run only looks which databases there are, and is not spread: its databases are, each by itself.
 */
export function spreadOf(source: string, { spreadMinutes, name, withoutDatabases }: Spread): number {
  const isGroup = withoutDatabases !== undefined && name === source
  if (spreadMinutes === 0 || isGroup) return 0
  const share = createHash('sha256').update(source).digest().readUInt32BE(0) / 2 ** 32
  return Math.floor(share * spreadMinutes * minute)
}

/** When a backup is planned, and by which schedule. */
export interface PlannedTime {
  readonly schedule: Schedule
  readonly at: Date
}

/** The next `many` times at which a source's or group's schedules begin, the spread of its backups included. */
export function nextTimes(
  source: string,
  settings: Spread & Pick<SourceSettings, 'schedules'>,
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
