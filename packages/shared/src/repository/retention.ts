import type { Retention } from '@securyflex/shared/config'

/** A backup as the rules of retention see it. */
export interface Dated {
  readonly run: string
  /** When it was asked for. */
  readonly time: Date
  /** Whether it may use up a count: it passed its checks, as far as is known. */
  readonly counts: boolean
}

const day = 24 * 60 * 60 * 1000

/** Each kind of period, and what names one: the newest backup that bears a new name is kept for it. */
const periods = [
  ['daily', 'day', (at: Temporal.ZonedDateTime) => at.toPlainDate().toString()],
  ['weekly', 'week', nameOfWeek],
  ['monthly', 'month', (at: Temporal.ZonedDateTime) => at.toPlainDate().toPlainYearMonth().toString()],
  ['yearly', 'year', (at: Temporal.ZonedDateTime) => String(at.year)],
] as const

/**
 * What each rule keeps: of every backup that some rule keeps, the rules' reasons. A backup that did not pass its checks
 * stands for its period while no good one does, and uses up no count, so that bad ones never push good ones out.
 * @param newestFirst those that may be counted at all
 * @param timeZone IANA name of the zone whose days, weeks (from Monday, ISO 8601), months and years are meant
 */
export function keptByRules(
  newestFirst: readonly Dated[],
  retention: Retention,
  now: Date,
  timeZone: string,
): ReadonlyMap<string, readonly string[]> {
  const reasons = new Map<string, string[]>()
  const keep = (run: string, why: string) => {
    reasons.set(run, [...(reasons.get(run) ?? []), why])
  }
  for (const { run, time } of newestFirst) {
    const { days } = retention
    if (days !== undefined && now.getTime() - time.getTime() <= days * day) {
      keep(run, `younger than ${String(days)} days`)
    }
  }
  keepLast(newestFirst, retention.last ?? 0, keep)
  for (const [rule, period, nameOf] of periods) {
    const named = newestFirst.map((backup) => ({ ...backup, name: nameOf(inZone(backup.time, timeZone)) }))
    keepPeriods(named, period, retention[rule] ?? 0, keep)
  }
  return reasons
}

type Keep = (run: string, why: string) => void

function keepLast(newestFirst: readonly Dated[], count: number, keep: Keep): void {
  let found = 0
  for (const { run, counts } of newestFirst) {
    if (found >= count) return
    if (counts) found += 1
    keep(run, counts ? `last ${String(found)} of ${String(count)}` : 'newer than some of the last')
  }
}

function keepPeriods(
  newestFirst: readonly (Dated & { readonly name: string })[],
  period: string,
  count: number,
  keep: Keep,
): void {
  const standing = new Set(newestFirst.flatMap(({ name, counts }) => (counts ? [name] : [])))
  const done = new Set<string>()
  let counted = 0
  for (const { run, name, counts } of newestFirst) {
    if (counted >= count) return
    if (done.has(name) || (!counts && standing.has(name))) continue
    done.add(name)
    if (counts) counted += 1
    keep(
      run,
      counts
        ? `${period} ${name}, ${String(counted)} of ${String(count)}`
        : `${period} ${name}, while no good one stands for it`,
    )
  }
}

function inZone(time: Date, timeZone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(time.getTime()).toZonedDateTimeISO(timeZone)
}

function nameOfWeek(at: Temporal.ZonedDateTime): string {
  return `${String(at.yearOfWeek)}-W${String(at.weekOfYear).padStart(2, '0')}`
}
