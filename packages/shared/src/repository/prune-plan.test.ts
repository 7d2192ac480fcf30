import { describe, expect, it } from '@jest/globals'
import type { Retention } from '@securyflex/shared/config'
import fc from 'fast-check'
import { newRunId, planPrune, type PruneCandidate, type PruneInput, timeOfRun } from './index.ts'

const day = 24 * 60 * 60 * 1000
const now = new Date('2026-11-23T12:00:00Z')

/** Zones with clock changes of an hour, of half of one and of two, at midnight, odd offsets, and a day left out. */
const zones = [
  'UTC',
  'Europe/Amsterdam',
  'America/New_York',
  'America/St_Johns',
  'Asia/Kathmandu',
  'Africa/Cairo',
  'Australia/Lord_Howe',
  'Antarctica/Troll',
  'Pacific/Apia',
  'Pacific/Kiritimati',
]

const count = (most: number) => fc.option(fc.integer({ min: 1, max: most }), { nil: undefined })
const retention: fc.Arbitrary<Retention> = fc.record({
  days: count(365),
  last: count(10),
  daily: count(14),
  weekly: count(8),
  monthly: count(14),
  yearly: count(3),
  minimum: fc.integer({ min: -1, max: 6 }),
})

const minutes = fc.oneof(
  fc.integer({ min: 0, max: 800 * 24 * 60 }),
  // Some close together, and around the change of clocks of 25 October in Europe.
  fc.integer({ min: 0, max: 3 * 24 * 60 }),
  fc.integer({ min: 28 * 24 * 60, max: 31 * 24 * 60 }),
)
const backup = fc
  .record({
    age: minutes,
    trusted: fc.boolean().map((no) => !no),
    unsound: fc.integer({ min: 0, max: 3 }).map((chance) => chance === 0),
    kept: fc.integer({ min: 0, max: 9 }).map((chance) => (chance === 0 ? 'kept by ann' : undefined)),
  })
  .map(({ age, ...rest }): PruneCandidate => {
    const run = newRunId('shop', new Date(now.getTime() - age * 60_000))
    return { run, time: timeOfRun(run), ...rest }
  })
const backups = fc.uniqueArray(backup, { maxLength: 40, selector: ({ run }) => run })
const input: fc.Arbitrary<PruneInput> = fc.record({
  backups,
  unreadable: fc.constant([]),
  now: fc.constant(now),
  retention,
  timeZone: fc.constantFrom(...zones),
})

const newestFirst = (list: readonly PruneCandidate[]) => [...list].sort((a, b) => (a.run < b.run ? 1 : -1))
const keptOf = (plan: PruneInput) =>
  new Set(planPrune(plan).decisions.flatMap(({ run, keep }) => (keep ? [run] : [])))
const good = ({ trusted, unsound }: PruneCandidate) => trusted && unsound !== true

/** The local date by another way than the product's: from the calendar of the Intl room. */
function dateIn(timeZone: string, time: Date): { year: number; month: number; day: number } {
  const [year = 0, month = 0, day = 0] = new Intl.DateTimeFormat('sv-SE', { timeZone })
    .format(time)
    .split('-')
    .map(Number)
  return { year, month, day }
}

/** Mondays are counted from that of 5 January 1970. */
function weekOf({ year, month, day: date }: { year: number; month: number; day: number }): number {
  return Math.floor((Date.UTC(year, month - 1, date) / day - 4) / 7)
}

/** What the rules keep where every backup is good, said the long way. */
function expected({ backups, retention, timeZone }: PruneInput): Set<string> {
  const sorted = newestFirst(backups)
  const kept = new Set<string>()
  const { days, last, daily, weekly, monthly, yearly, minimum } = retention
  for (const { run, time } of sorted)
    if (days !== undefined && now.getTime() - time.getTime() <= days * day) kept.add(run)
  for (const { run } of sorted.slice(0, Math.max(last ?? 0, minimum, 1))) kept.add(run)
  const names = sorted.map(({ run, time }) => ({ run, date: dateIn(timeZone, time) }))
  const rules: [number | undefined, (date: ReturnType<typeof dateIn>) => string | number][] = [
    [daily, ({ year, month, day }) => `${year}-${month}-${day}`],
    [weekly, weekOf],
    [monthly, ({ year, month }) => `${year}-${month}`],
    [yearly, ({ year }) => year],
  ]
  for (const [many, name] of rules) {
    const first = new Map<string | number, string>()
    for (const { run, date } of names) if (!first.has(name(date))) first.set(name(date), run)
    for (const run of [...first.values()].slice(0, many ?? 0)) kept.add(run)
  }
  return kept
}

describe('a plan to prune', () => {
  it('keeps what any rule keeps, and nothing else, in every zone', () => {
    fc.assert(
      fc.property(input, (given) => {
        const all = given.backups.map(({ run, time }) => ({ run, time, trusted: true }))
        const plan = { ...given, backups: all }
        expect(keptOf(plan)).toEqual(expected(plan))
      }),
      { numRuns: 1000 },
    )
  })

  it('keeps the newest good backup, and as many good ones as asked for, whatever the rules', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const kept = keptOf(plan)
        const least = Math.max(1, plan.retention.minimum)
        for (const { run } of newestFirst(plan.backups.filter(good)).slice(0, least))
          expect(kept).toContain(run)
      }),
      { numRuns: 500 },
    )
  })

  it('keeps what is newer than the newest good backup: a run may be building on it', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const kept = keptOf(plan)
        for (const backup of newestFirst(plan.backups)) {
          if (good(backup)) return
          expect(kept).toContain(backup.run)
        }
      }),
    )
  })

  it('keeps whatever was the newest at any time since a run began that is under way, in whichever order copies came', () => {
    const delay = fc.integer({ min: 0, max: 5 * 24 * 60 })
    const delays = fc.array(delay, { minLength: 40, maxLength: 40 })
    const starts = fc.array(minutes, { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(input, delays, starts, (plan, later, ages) => {
        const sealed = plan.backups.map((one, at) => ({
          ...one,
          sealed: new Date(Math.min(now.getTime(), one.time.getTime() + (later[at] ?? 0) * 60_000)),
        }))
        const underWay = ages.map((age) => new Date(now.getTime() - age * 60_000))
        const kept = keptOf({ ...plan, backups: sealed, underWay })
        const moments = [...underWay, ...sealed.map((one) => one.sealed)]
        for (const moment of moments.filter((one) => underWay.some((began) => began <= one))) {
          const there = sealed.filter((one) => one.trusted && one.sealed <= moment)
          const [newest] = newestFirst(there)
          if (newest !== undefined) expect(kept).toContain(newest.run)
        }
        for (const run of keptOf(plan)) expect(kept).toContain(run)
      }),
    )
  })

  it('keeps what somebody keeps, and what is not authenticated', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const kept = keptOf(plan)
        for (const backup of plan.backups)
          if (backup.kept !== undefined || !backup.trusted) expect(kept).toContain(backup.run)
      }),
    )
  })

  it('never gives up a good backup for the sake of ones that are not trusted or did not pass their checks', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const alone = keptOf({ ...plan, backups: plan.backups.filter(good) })
        const kept = keptOf(plan)
        for (const run of alone) expect(kept).toContain(run)
      }),
      { numRuns: 500 },
    )
  })

  it('keeps no less when a rule is added or a count raised', () => {
    const rules = ['days', 'last', 'daily', 'weekly', 'monthly', 'yearly', 'minimum'] as const
    fc.assert(
      fc.property(input, fc.constantFrom(...rules), fc.integer({ min: 1, max: 40 }), (plan, rule, more) => {
        const raised = { ...plan.retention, [rule]: Math.max(0, plan.retention[rule] ?? 0) + more }
        const kept = keptOf({ ...plan, retention: raised })
        for (const run of keptOf(plan)) expect(kept).toContain(run)
      }),
      { numRuns: 500 },
    )
  })

  it('gives up nothing more when what it gave up is gone: the next prune finds nothing to do', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const kept = keptOf(plan)
        const left = { ...plan, backups: plan.backups.filter(({ run }) => kept.has(run)) }
        expect(keptOf(left)).toEqual(kept)
      }),
      { numRuns: 500 },
    )
  })

  it('decides on every backup once, newest first, and gives a reason', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const { decisions } = planPrune(plan)
        expect(decisions.map(({ run }) => run)).toEqual(newestFirst(plan.backups).map(({ run }) => run))
        expect(decisions.every(({ why }) => why.length > 0)).toBe(true)
      }),
    )
  })

  it('does not depend on the order in which backups were found', () => {
    fc.assert(
      fc.property(input, (plan) => {
        expect(planPrune({ ...plan, backups: [...plan.backups].reverse() })).toEqual(planPrune(plan))
      }),
    )
  })

  it('removes nothing where one manifest cannot be read, and names it', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const { refused, decisions } = planPrune({
          ...plan,
          unreadable: [{ run: 'shop.x', why: 'it is cut off' }],
        })
        expect(refused).toBe('the manifest of shop.x cannot be read: it is cut off')
        expect(decisions.every(({ keep }) => keep)).toBe(true)
      }),
    )
  })

  it('removes nothing where a backup is dated in the future, trusted or not', () => {
    fc.assert(
      fc.property(input, fc.boolean(), fc.integer({ min: 3601, max: 10 ** 7 }), (plan, trusted, seconds) => {
        const run = newRunId('shop', new Date(now.getTime() + seconds * 1000))
        const ahead = { run, time: timeOfRun(run), trusted }
        const { refused, decisions } = planPrune({ ...plan, backups: [...plan.backups, ahead] })
        expect(refused).toContain('future')
        expect(decisions.every(({ keep }) => keep)).toBe(true)
      }),
    )
  })
})

const none: Retention = {
  days: undefined,
  last: undefined,
  daily: undefined,
  weekly: undefined,
  monthly: undefined,
  yearly: undefined,
  minimum: 1,
}
/** What is said of backups that were asked for at these times. */
function reasons(rules: Partial<Retention>, timeZone: string, times: readonly string[], at = now) {
  const backups = times.map((text) => {
    const run = newRunId('shop', new Date(text))
    return { run, time: timeOfRun(run), trusted: true }
  })
  const { decisions } = planPrune({
    backups,
    unreadable: [],
    now: at,
    retention: { ...none, ...rules },
    timeZone,
  })
  return decisions.map(({ keep, why }) => (keep ? why : `goes: ${why}`))
}

describe('days, weeks, months and years', () => {
  it('are those of the zone', () => {
    const times = ['2026-11-22T23:30:00Z', '2026-11-22T22:30:00Z', '2026-11-22T05:00:00Z']
    expect(reasons({ daily: 9 }, 'Europe/Amsterdam', times)).toEqual([
      'day 2026-11-23, 1 of 9; the newest good one',
      'day 2026-11-22, 2 of 9',
      'goes: 1 day old, and no rule keeps it',
    ])
    expect(reasons({ daily: 9 }, 'UTC', times)).toEqual([
      'day 2026-11-22, 1 of 9; the newest good one',
      'goes: 0 days old, and no rule keeps it',
      'goes: 1 day old, and no rule keeps it',
    ])
  })

  it('of 25 hours, when clocks are set back, are one day; of 23 hours, too', () => {
    const autumn = [
      '2026-10-25T22:59:00Z',
      '2026-10-25T01:30:00Z',
      '2026-10-25T00:30:00Z',
      '2026-10-24T22:01:00Z',
    ]
    expect(reasons({ daily: 3 }, 'Europe/Amsterdam', autumn).map((why) => why.startsWith('goes'))).toEqual([
      false,
      true,
      true,
      true,
    ])
    const spring = ['2026-03-29T21:59:00Z', '2026-03-28T23:01:00Z', '2026-03-28T22:59:00Z']
    expect(reasons({ daily: 3 }, 'Europe/Amsterdam', spring)).toEqual([
      'day 2026-03-29, 1 of 3; the newest good one',
      expect.stringContaining('goes'),
      'day 2026-03-28, 2 of 3',
    ])
  })

  it('that a zone left out are not missed: there was no 30 December 2011 in Samoa', () => {
    const times = ['2011-12-30T12:00:00Z', '2011-12-30T09:00:00Z', '2011-12-29T12:00:00Z']
    expect(reasons({ daily: 3 }, 'Pacific/Apia', times)).toEqual([
      'day 2011-12-31, 1 of 3; the newest good one',
      'day 2011-12-29, 2 of 3',
      expect.stringContaining('goes'),
    ])
  })

  it('count weeks from Monday, also over the end of a year', () => {
    const at = new Date('2027-01-10T12:00:00Z')
    const times = [
      '2027-01-04T12:00:00Z',
      '2027-01-03T12:00:00Z',
      '2026-12-28T12:00:00Z',
      '2026-12-27T12:00:00Z',
    ]
    expect(reasons({ weekly: 9, yearly: 1 }, 'UTC', times, at)).toEqual([
      'week 2027-W01, 1 of 9; year 2027, 1 of 1; the newest good one',
      'week 2026-W53, 2 of 9',
      expect.stringContaining('goes'),
      'week 2026-W52, 3 of 9',
    ])
  })

  it('are counted only where they have a backup, so that nothing goes while no backups are made', () => {
    const times = ['2024-05-01T02:00:00Z', '2023-05-01T02:00:00Z', '2022-05-01T02:00:00Z']
    expect(reasons({ daily: 3 }, 'UTC', times).every((why) => !why.startsWith('goes'))).toBe(true)
    expect(reasons({ days: 30, minimum: 2 }, 'UTC', times)).toEqual([
      'among the 2 newest good ones, which always stay',
      'among the 2 newest good ones, which always stay',
      expect.stringMatching(/^goes: 16\d\d days old, and no rule keeps it$/),
    ])
  })
})

describe('a plan to prune', () => {
  const at = (age: number) => newRunId('shop', new Date(now.getTime() - age * day))
  const plan = (backups: readonly PruneCandidate[], rules: Partial<Retention>) =>
    planPrune({ backups, unreadable: [], now, retention: { ...none, ...rules }, timeZone: 'UTC' })

  it('bears clocks that differ by less than an hour', () => {
    const run = newRunId('shop', new Date(now.getTime() + 3500_000))
    expect(plan([{ run, time: timeOfRun(run), trusted: true }], { days: 30 }).refused).toBeUndefined()
  })

  it('never lets a newer backup that is not trusted stand in for the last good one', () => {
    const backups = [at(400), at(1)].map((run, index) => ({
      run,
      time: timeOfRun(run),
      trusted: index === 0,
    }))
    expect(plan(backups, { days: 30 }).decisions.every(({ keep }) => keep)).toBe(true)
  })

  it('does not take the last good backup while newer ones fail their checks, however many', () => {
    const backups = Array.from({ length: 60 }, (_, age) => {
      const run = at(age)
      return { run, time: timeOfRun(run), trusted: true, unsound: age < 50 }
    })
    const { decisions } = plan(backups, { daily: 7, minimum: 3 })
    const kept = decisions.flatMap(({ keep }, age) => (keep ? [age] : []))
    expect(kept.filter((age) => age >= 50)).toEqual([50, 51, 52, 53, 54, 55, 56])
    expect(kept.slice(0, 50)).toEqual(Array.from({ length: 50 }, (_, age) => age))
  })
})
