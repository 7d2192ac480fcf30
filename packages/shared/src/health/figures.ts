import type { RunReport } from '@securyflex/shared/history'

const millisecondsOfDay = 24 * 60 * 60 * 1000

/** The four figures of one source: success rate, sizes, durations, last success. */
export interface Figures {
  readonly source: string
  /** How many of the last days `runs`, `successRate`, `sizes`, `stored` and `durations` are about. */
  readonly windowDays: number
  /** Runs that started within these days. */
  readonly runs: Readonly<Record<RunReport['outcome'], number>> & { readonly total: number }
  /**
   * Share of the runs that reached every destination, from 0 to 1, among those that ended by themselves: a
   * degraded run is no success, a cancelled one does not count. Undefined where there is none.
   */
  readonly successRate: number | undefined
  /** Bytes read from the database by runs that made a backup. */
  readonly sizes: Sizes | undefined
  /** Bytes that these runs added at the destination that took the most. */
  readonly stored: Sizes | undefined
  readonly durations: Durations | undefined
  /** Of all reports, however old; undefined if there never was a success. */
  readonly lastSuccess: LastSuccess | undefined
}

export interface Sizes {
  readonly last: number
  readonly average: number
  /** How far `last` is from the average of the runs before it: 0.1 is ten percent more; undefined for a first run. */
  readonly trend: number | undefined
}

/** Seconds from the start of a run to its end. */
export interface Durations {
  readonly last: number
  readonly average: number
  readonly longest: number
}

export interface LastSuccess {
  readonly run: string
  /** Its end, ISO 8601 in UTC. */
  readonly time: string
  /** Seconds from `time` to now; 0 if its clock was ahead of ours. */
  readonly age: number
}

/**
 * The figures of every source that `reports` know, by name. The order of the reports does not matter; a run
 * that is reported twice (by several destinations, or while it ran and at its end) counts once, as it ended.
 */
export function figures(reports: readonly RunReport[], now: Date, windowDays = 30): Figures[] {
  const bySource = Map.groupBy(onePerRun(reports), ({ source }) => source)
  return [...bySource]
    .sort(([one], [other]) => compare(one, other))
    .map(([source, runs]) => ofSource(source, runs, now, windowDays))
}

function onePerRun(reports: readonly RunReport[]): RunReport[] {
  const runs = new Map<string, RunReport>()
  for (const report of reports) {
    const known = runs.get(report.run)
    if (known === undefined || isLater(report, known)) runs.set(report.run, report)
  }
  return [...runs.values()].sort(
    (one, other) => compare(one.startedAt, other.startedAt) || compare(one.run, other.run),
  )
}

/** A run that was retried begins anew, under the same id. */
function isLater(report: RunReport, known: RunReport): boolean {
  if (report.generation !== known.generation) return report.generation > known.generation
  return endOf(report) > endOf(known)
}

/** A report without an end is older than any with one. */
function endOf({ finishedAt }: RunReport): number {
  return finishedAt === undefined ? Number.NEGATIVE_INFINITY : Date.parse(finishedAt)
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

/** `all` is in the order of time. */
function ofSource(source: string, all: readonly RunReport[], now: Date, windowDays: number): Figures {
  const begin = now.getTime() - windowDays * millisecondsOfDay
  const recent = all.filter(({ startedAt }) => Date.parse(startedAt) >= begin)
  const count = (outcome: RunReport['outcome']) =>
    recent.filter((report) => report.outcome === outcome).length
  const runs = {
    success: count('success'),
    degraded: count('degraded'),
    failed: count('failed'),
    cancelled: count('cancelled'),
    running: count('running'),
  }
  const judged = runs.success + runs.degraded + runs.failed
  const good = recent.filter(({ outcome }) => outcome === 'success' || outcome === 'degraded')
  return {
    source,
    windowDays,
    runs: { total: recent.length, ...runs },
    successRate: judged === 0 ? undefined : runs.success / judged,
    sizes: sizes(good.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes]))),
    stored: sizes(good.flatMap(storedBytes)),
    durations: durations(good.flatMap(seconds)),
    lastSuccess: lastSuccess(all, now),
  }
}

function storedBytes({ destinations }: RunReport): number[] {
  const stored = destinations.flatMap((destination) => (destination.stored ? [destination.stored.bytes] : []))
  return stored.length === 0 ? [] : [Math.max(...stored)]
}

function seconds({ startedAt, finishedAt }: RunReport): number[] {
  if (finishedAt === undefined) return []
  return [Math.max(0, (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000)]
}

function sizes(values: readonly number[]): Sizes | undefined {
  const last = values.at(-1)
  if (last === undefined) return undefined
  const before = values.slice(0, -1)
  const usual = average(before)
  const trend = before.length === 0 || usual === 0 ? undefined : (last - usual) / usual
  return { last, average: average(values), trend }
}

function durations(values: readonly number[]): Durations | undefined {
  const last = values.at(-1)
  if (last === undefined) return undefined
  return { last, average: average(values), longest: Math.max(...values) }
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}

function lastSuccess(all: readonly RunReport[], now: Date): LastSuccess | undefined {
  const successes = all.filter(({ outcome, finishedAt }) => outcome === 'success' && finishedAt !== undefined)
  const latest = successes.sort((one, other) => endOf(one) - endOf(other)).at(-1)
  if (latest?.finishedAt === undefined) return undefined
  return {
    run: latest.run,
    time: latest.finishedAt,
    age: Math.max(0, (now.getTime() - Date.parse(latest.finishedAt)) / 1000),
  }
}
