import type { Schedule } from '@securyflex/shared/config'
import { CronExpressionParser } from 'cron-parser'

/** The next `many` times at which the schedule fires after `now`; none while it is off. cron-parser is what BullMQ uses. */
export function nextRuns(schedule: Schedule, now: Date, many: number): Date[] {
  if (!schedule.enabled) return []
  const expression = CronExpressionParser.parse(schedule.cron, { currentDate: now, tz: schedule.timeZone })
  return Array.from({ length: many }, () => expression.next().toDate())
}
