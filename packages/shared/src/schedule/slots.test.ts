import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { newestSlot, nextSlots, nextTimes, slotToAsk, spreadOf } from './index.ts'

const amsterdam = (cron: string) => ({ cron, timeZone: 'Europe/Amsterdam' })
const iso = (dates: readonly Date[]) => dates.map((date) => date.toISOString())
const dayIn = (timeZone: string) => {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' })
  return (date: Date) => format.format(date)
}

describe('a nightly backup on the days on which clocks change', () => {
  it.each([
    ['0 2 * * *', ['2027-03-27T01:00:00.000Z', '2027-03-28T01:00:00.000Z', '2027-03-29T00:00:00.000Z']],
    ['30 2 * * *', ['2027-03-27T01:30:00.000Z', '2027-03-28T01:30:00.000Z', '2027-03-29T00:30:00.000Z']],
  ])('%s runs once in spring, an hour later where its time does not exist', (cron, expected) => {
    expect(iso(nextSlots(amsterdam(cron), new Date('2027-03-26T12:00:00Z'), 3))).toEqual(expected)
  })

  it.each([
    ['0 2 * * *', ['2026-10-25T00:00:00.000Z', '2026-10-26T01:00:00.000Z']],
    ['30 2 * * *', ['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z']],
  ])('%s runs once in autumn, the first time that its hour comes', (cron, expected) => {
    expect(iso(nextSlots(amsterdam(cron), new Date('2026-10-24T12:00:00Z'), 2))).toEqual(expected)
  })

  it('an hourly one runs in each hour that there is', () => {
    const spring = nextSlots(amsterdam('0 * * * *'), new Date('2027-03-27T23:00:00Z'), 25)
    const autumn = nextSlots(amsterdam('0 * * * *'), new Date('2026-10-24T22:00:00Z'), 25)
    for (const slots of [spring, autumn]) {
      for (const [index, slot] of slots.slice(1).entries()) {
        expect(slot.getTime() - (slots[index]?.getTime() ?? 0)).toBe(3_600_000)
      }
    }
  })

  it.each(['*', '?', '0-23', '*/1'])('an hourly one may be written with the hours %s', (hours) => {
    const hourly = nextSlots(amsterdam('0 * * * *'), new Date('2026-10-24T22:00:00Z'), 6)
    expect(nextSlots(amsterdam(`0 ${hours} * * *`), new Date('2026-10-24T22:00:00Z'), 6)).toEqual(hourly)
  })

  it.each([
    ['Africa/Cairo', '0 */24 * * *', '2027-04-29T12:00:00Z', ['2027-04-29T22:00', '2027-04-30T21:00']],
    ['America/Havana', '0 */12 * * *', '2026-10-31T20:00:00Z', ['2026-11-01T04:00', '2026-11-01T17:00']],
  ])(
    'one of every so many hours is neither left out nor doubled: %s, %s',
    (timeZone, cron, after, expected) => {
      const slots = nextSlots({ cron, timeZone }, new Date(after), 2)
      expect(slots.map((slot) => slot.toISOString().slice(0, 16))).toEqual(expected)
    },
  )

  it.each([
    ['Africa/Cairo', '30 0 * * *', '2026-04-23T12:00:00Z', ['2026-04-23T22:30', '2026-04-24T21:30']],
    ['America/Nuuk', '15 22 * * *', '2025-03-28T12:00:00Z', ['2025-03-29T00:15', '2025-03-30T00:15']],
    ['Australia/Lord_Howe', '15 2 * * *', '2026-10-03T10:00:00Z', ['2026-10-03T15:45', '2026-10-04T15:15']],
    ['Antarctica/Troll', '30 1 * * *', '2027-03-27T12:00:00Z', ['2027-03-28T01:30', '2027-03-28T23:30']],
  ])(
    'is left out on no day where clocks change at midnight or by half an hour: %s',
    (timeZone, cron, after, expected) => {
      const slots = nextSlots({ cron, timeZone }, new Date(after), 2)
      expect(slots.map((slot) => slot.toISOString().slice(0, 16))).toEqual(expected)
    },
  )

  it('comes exactly once on every day that its zone has, in all zones and ten years', () => {
    const zones = Intl.supportedValuesOf('timeZone')
    const minute = fc.integer({ min: 0, max: 59 })
    const hour = fc.integer({ min: 0, max: 23 })
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        hour,
        minute,
        fc.integer({ min: 0, max: 3650 }),
        (timeZone, h, m, day) => {
          const day0 = Date.UTC(2025, 0, 1) + day * 86_400_000
          const slots = nextSlots({ cron: `${String(m)} ${String(h)} * * *`, timeZone }, new Date(day0), 20)
          const days = slots.map(dayIn(timeZone))
          expect(new Set(days).size).toBe(days.length)
          for (const [index, slot] of slots.slice(1).entries()) {
            const before = slots[index]?.getTime() ?? 0
            expect(slot.getTime() - before).toBeGreaterThanOrEqual(22 * 3_600_000)
            expect(slot.getTime() - before).toBeLessThanOrEqual(26 * 3_600_000)
          }
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('a schedule', () => {
  it('may name the last day of the month', () => {
    expect(iso(nextSlots({ cron: '0 1 L * *', timeZone: 'UTC' }, new Date('2028-01-01Z'), 3))).toEqual([
      '2028-01-31T01:00:00.000Z',
      '2028-02-29T01:00:00.000Z',
      '2028-03-31T01:00:00.000Z',
    ])
  })

  it('has the same newest slot until the next one', () => {
    const crons = fc.constantFrom('0 2 * * *', '*/5 * * * *', '@weekly', '0 1 L * *', '30 2 * * 0')
    const moment = fc.integer({ min: Date.UTC(2025, 0), max: Date.UTC(2035, 0) })
    fc.assert(
      fc.property(
        crons,
        fc.constantFrom('UTC', 'Europe/Amsterdam', 'America/St_Johns'),
        moment,
        (cron, timeZone, at) => {
          const schedule = { cron, timeZone }
          const [next] = nextSlots(schedule, new Date(at), 1)
          expect(newestSlot(schedule, next ?? new Date(0))).toEqual(next)
          expect(newestSlot(schedule, new Date(at)).getTime()).toBeLessThanOrEqual(at)
          expect(nextSlots(schedule, newestSlot(schedule, new Date(at)), 1)[0]?.getTime()).toBeGreaterThan(at)
        },
      ),
    )
  })
})

describe('after an outage', () => {
  const nightly = { cron: '0 2 * * *', timeZone: 'UTC' }
  const missed = new Date('2026-11-20T02:00:00Z')

  it('only the newest slot is asked for', () => {
    const now = new Date('2026-11-23T07:00:00Z')
    expect(slotToAsk(nightly, missed, now, 12)).toEqual(new Date('2026-11-23T02:00:00Z'))
  })

  it('none is asked for that is later than the lateness', () => {
    expect(slotToAsk(nightly, missed, new Date('2026-11-23T15:00:00Z'), 12)).toBeUndefined()
  })

  it('a clock that was set back asks for the slot that came, not for an earlier one', () => {
    expect(slotToAsk(nightly, missed, new Date('2026-11-20T01:30:00Z'), 12)).toEqual(missed)
  })
})

describe('a spread', () => {
  it('is always the same for one source, within its minutes, and even over many', () => {
    const spreads = Array.from({ length: 1000 }, (_, index) =>
      spreadOf(`shop-${String(index)}`, { spreadMinutes: 60 }),
    )
    expect(spreads).toEqual(
      spreads.map((_, index) => spreadOf(`shop-${String(index)}`, { spreadMinutes: 60 })),
    )
    for (const spread of spreads) {
      expect(spread).toBeGreaterThanOrEqual(0)
      expect(spread).toBeLessThan(3_600_000)
    }
    const quarters = [0, 1, 2, 3].map((quarter) =>
      spreads.filter((spread) => Math.floor(spread / 900_000) === quarter),
    )
    for (const quarter of quarters) expect(quarter.length).toBeGreaterThan(150)
  })

  it('moves the databases of a group, each by itself, and not the group’s look at them', () => {
    const group = { name: 'fleet', withoutDatabases: [], spreadMinutes: 60 }
    expect(spreadOf('fleet', group)).toBe(0)
    expect(spreadOf('fleet-crm', group)).toBe(spreadOf('fleet-crm', { spreadMinutes: 60 }))
    expect(spreadOf('fleet-crm', group)).toBeGreaterThan(0)
    const schedules = [{ cron: '0 2 * * *', timeZone: 'UTC' }]
    const [first] = nextTimes('fleet', { ...group, schedules }, new Date('2026-11-23T00:00:00Z'), 1)
    expect(first?.at).toEqual(new Date('2026-11-23T02:00:00Z'))
  })

  it('moves the times that are shown', () => {
    const settings = { schedules: [{ cron: '0 2 * * *', timeZone: 'UTC' }], spreadMinutes: 30 }
    const [first] = nextTimes('shop', settings, new Date('2026-11-23T00:00:00Z'), 1)
    expect(first?.at.getTime()).toBe(Date.parse('2026-11-23T02:00:00Z') + spreadOf('shop', settings))
    const [still] = nextTimes('shop', settings, new Date('2026-11-23T02:00:01Z'), 1)
    expect(still?.at).toEqual(first?.at)
  })
})
