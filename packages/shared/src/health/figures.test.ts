import { describe, expect, it } from '@jest/globals'
import type { RunReport } from '@securyflex/shared/history'
import fc from 'fast-check'
import { figures } from './index.ts'

const now = new Date('2026-11-23T12:00:00.000Z')
const day = 24 * 60 * 60 * 1000

/** A run that started `daysAgo` and took `seconds`. */
function report(daysAgo: number, change: Partial<RunReport> = {}, seconds = 60): RunReport {
  const startedAt = new Date(now.getTime() - daysAgo * day)
  return {
    format: 1,
    kind: 'run',
    run: `shop.${String(daysAgo)}`,
    source: 'shop',
    outcome: 'success',
    requestedBy: 'schedule',
    requestedAt: startedAt.toISOString(),
    startedAt: startedAt.toISOString(),
    finishedAt: new Date(startedAt.getTime() + seconds * 1000).toISOString(),
    bytes: 1000,
    destinations: [{ name: 'local', outcome: 'verified', stored: { segments: 1, bytes: 100 } }],
    notifications: [],
    warnings: [],
    overlaps: 0,
    generation: 0,
    ...change,
  }
}

function running(daysAgo: number): RunReport {
  const { finishedAt: _, ...begun } = report(daysAgo, { outcome: 'running' })
  return begun
}

describe('the success rate', () => {
  it('is the share of runs that reached every destination', () => {
    const reports = [
      report(1),
      report(2),
      report(3, { outcome: 'degraded' }),
      report(4, { outcome: 'failed' }),
      report(5, { outcome: 'cancelled' }),
      running(0),
    ]
    const [shop] = figures(reports, now)
    expect(shop?.successRate).toBe(0.5)
    expect(shop?.runs).toEqual({ total: 6, success: 2, degraded: 1, failed: 1, cancelled: 1, running: 1 })
  })

  it('is unknown where nothing ended by itself', () => {
    expect(figures([running(1), report(2, { outcome: 'cancelled' })], now)[0]?.successRate).toBeUndefined()
  })

  it('leaves out runs before the window', () => {
    const reports = [report(8, { outcome: 'failed' }), report(7), report(1)]
    expect(figures(reports, now, 7)[0]).toMatchObject({ successRate: 1, windowDays: 7, runs: { total: 2 } })
  })
})

describe('sizes', () => {
  it('compare the last run with those before it', () => {
    const reports = [report(3, { bytes: 800 }), report(2, { bytes: 1200 }), report(1, { bytes: 1500 })]
    const [shop] = figures(reports, now)
    expect(shop?.sizes).toEqual({ last: 1500, average: 3500 / 3, trend: 0.5 })
    expect(shop?.stored).toEqual({ last: 100, average: 100, trend: 0 })
  })

  it('have no trend for a first run, nor after empty ones', () => {
    expect(figures([report(1)], now)[0]?.sizes?.trend).toBeUndefined()
    expect(figures([report(2, { bytes: 0 }), report(1)], now)[0]?.sizes?.trend).toBeUndefined()
  })

  it('leave out runs that made no backup', () => {
    const reports = [report(2), report(1, { outcome: 'failed', bytes: 5 })]
    expect(figures(reports, now)[0]?.sizes).toEqual({ last: 1000, average: 1000, trend: undefined })
  })
})

it('durations are those of runs that made a backup, in seconds', () => {
  const reports = [report(3, {}, 90), report(2, {}, 30), report(1, { outcome: 'failed' }, 900)]
  expect(figures(reports, now)[0]?.durations).toEqual({ last: 30, average: 60, longest: 90 })
})

describe('the last success', () => {
  it('is found however old it is', () => {
    const old = report(400)
    const [shop] = figures([old, report(1, { outcome: 'degraded' }), report(2, { outcome: 'failed' })], now)
    expect(shop?.lastSuccess).toEqual({ run: old.run, time: old.finishedAt, age: 400 * 24 * 3600 - 60 })
    expect(shop?.successRate).toBe(0)
  })

  it('is unknown where there was none', () => {
    expect(figures([report(1, { outcome: 'failed' })], now)[0]?.lastSuccess).toBeUndefined()
  })
})

it('a run counts as it ended, not as it was reported while it ran', () => {
  const begun = { ...running(1), run: report(1).run }
  for (const reports of [
    [begun, report(1)],
    [report(1), begun],
  ]) {
    expect(figures(reports, now)[0]?.runs).toMatchObject({ total: 1, success: 1, running: 0 })
  }
})

it('nothing is said of nothing', () => {
  expect(figures([], now)).toEqual([])
})

describe('whatever the reports', () => {
  const outcome = fc.constantFrom<RunReport['outcome']>(
    'success',
    'degraded',
    'failed',
    'cancelled',
    'running',
  )
  const anyReport = fc
    .tuple(
      fc.integer({ min: -2, max: 60 }),
      fc.integer({ min: 0, max: 100_000 }),
      outcome,
      fc.constantFrom('shop', 'crm'),
      fc.nat(),
      fc.nat(1000),
    )
    .map(([daysAgo, seconds, ended, source, bytes, id]) => {
      const made = report(daysAgo, { outcome: ended, source, bytes, run: `${source}.${String(id)}` }, seconds)
      if (ended === 'running') delete made.finishedAt
      return made
    })
  const anyReports = fc.uniqueArray(anyReport, { selector: ({ run }) => run })

  it('their order and repetition change nothing', () => {
    const shuffled = anyReports.chain((reports) =>
      fc.tuple(
        fc.constant(reports),
        fc.shuffledSubarray([...reports, ...reports], { minLength: reports.length * 2 }),
      ),
    )
    fc.assert(
      fc.property(shuffled, ([reports, mixed]) => {
        expect(figures(mixed, now)).toEqual(figures(reports, now))
      }),
    )
  })

  it('a source’s figures do not depend on the others', () => {
    fc.assert(
      fc.property(anyReports, (reports) => {
        const alone = ['crm', 'shop'].flatMap((name) =>
          figures(
            reports.filter(({ source }) => source === name),
            now,
          ),
        )
        expect(figures(reports, now)).toEqual(alone)
      }),
    )
  })

  it('rates lie between 0 and 1, averages between the least and the most, ages above 0', () => {
    fc.assert(
      fc.property(anyReports, (reports) => {
        for (const { runs, successRate = 0, sizes, durations, lastSuccess } of figures(reports, now)) {
          const { total, ...byOutcome } = runs
          expect(Object.values(byOutcome).reduce((sum, count) => sum + count, 0)).toBe(total)
          expect(successRate >= 0 && successRate <= 1).toBe(true)
          expect(lastSuccess?.age ?? 0).toBeGreaterThanOrEqual(0)
          const { last = 0, average = 0, longest = 0 } = durations ?? {}
          expect(last <= longest && average <= longest * (1 + 1e-9)).toBe(true)
          const most = Math.max(0, ...reports.map(({ bytes = 0 }) => bytes))
          expect((sizes?.average ?? 0) <= most * (1 + 1e-9)).toBe(true)
        }
      }),
    )
  })

  it('one more success now lowers no rate and is the last success', () => {
    fc.assert(
      fc.property(anyReports, (reports) => {
        const past = reports.filter(({ startedAt }) => Date.parse(startedAt) < now.getTime() - 2 * day)
        const [before] = figures(
          past.filter(({ source }) => source === 'shop'),
          now,
        )
        const fresh = report(0, { run: 'shop.fresh' })
        const [after] = figures([...past.filter(({ source }) => source === 'shop'), fresh], now)
        expect(after?.successRate ?? 0).toBeGreaterThanOrEqual(before?.successRate ?? 0)
        expect(after?.lastSuccess?.run).toBe('shop.fresh')
      }),
    )
  })
})
