import { describe, expect, it } from '@jest/globals'
import { readSchedules } from '@securyflex/shared/queue'
import { until } from '../helpers/command.ts'
import { expectNightly, nightly, nightsOf } from '../helpers/nights.ts'

/** As in clocks.test.ts, which says how time is set: zones that differ in when, and by how much, clocks change. */
describe('a nightly backup is made exactly once a night, also by processes that start in the hour that comes twice', () => {
  it.each([
    ['America/New_York', '30 1 * * *', ['2026-10-31T05:30', '2026-11-01T05:30', '2026-11-02T06:30']],
    ['America/New_York', '30 2 * * *', ['2027-03-13T07:30', '2027-03-14T07:30', '2027-03-15T06:30']],
    ['Africa/Cairo', '30 23 * * *', ['2026-10-28T20:30', '2026-10-29T20:30', '2026-10-30T21:30']],
    ['Africa/Cairo', '30 0 * * *', ['2027-04-28T22:30', '2027-04-29T22:30', '2027-04-30T21:30']],
    ['Australia/Lord_Howe', '45 1 * * *', ['2027-04-02T14:45', '2027-04-03T14:45', '2027-04-04T15:15']],
    ['Australia/Lord_Howe', '15 2 * * *', ['2026-10-02T15:45', '2026-10-03T15:45', '2026-10-04T15:15']],
  ])('%s, %s', async (timeZone, cron, nights) => {
    await expectNightly(cron, timeZone, nights)
  })
})

describe('after an outage', () => {
  it('that ends too late nothing is made up for, and the next night is as ever', async () => {
    await using here = await nightly()
    const { timeline } = here
    await timeline.start({ producers: 1, workers: 1 })
    await timeline.to('2026-11-20T03:00:00Z')
    await timeline.kill()
    await timeline.to('2026-11-22T06:30:00Z')
    await timeline.start({ producers: 1, workers: 1 })
    await timeline.hours(12)
    expect(await timeline.slots()).toEqual(nightsOf(20))
    await timeline.to('2026-11-23T02:00:01Z')
    expect(await timeline.slots()).toEqual(nightsOf(20, 23))
    expect(await timeline.backups()).toEqual(nightsOf(20, 23))
  })

  it('of Redis’ data, the slot that passed meanwhile is made up for once', async () => {
    await using here = await nightly()
    const { installation, timeline } = here
    const { queues } = installation
    await timeline.start({ producers: 1, workers: 0 })
    await until('the producer has looked', async () => (await queues.redis.exists('securyflex:looked')) === 1)
    await timeline.to('2026-11-20T02:30:00Z')
    await queues.redis.flushall()
    await until('the schedule is set again', async () => (await readSchedules(queues)).length === 1)
    await timeline.start({ producers: 0, workers: 1 })
    expect(await timeline.backups()).toEqual(nightsOf(20))
    await timeline.to('2026-11-21T02:00:01Z')
    expect(await timeline.slots()).toEqual(nightsOf(20, 21))
  })
})

describe('with no producer alive', () => {
  it('backups are made every night, and one that a worker finds late is made up for', async () => {
    await using here = await nightly()
    const { timeline } = here
    await timeline.start({ producers: 1, workers: 0 })
    await timeline.kill()
    await timeline.start({ producers: 0, workers: 1 })
    for (const day of [20, 21, 22]) await timeline.to(`2026-11-${String(day)}T02:00:01Z`)
    expect(await timeline.backups()).toEqual(nightsOf(20, 21, 22))
    await timeline.kill()
    await timeline.to('2026-11-25T04:00:00Z')
    await timeline.start({ producers: 0, workers: 2 })
    await timeline.to('2026-11-26T02:00:01Z')
    expect(await timeline.backups()).toEqual(nightsOf(20, 21, 22, 25, 26))
    expect(await timeline.slots()).toEqual(nightsOf(20, 21, 22, 25, 26))
  })
})

describe('a clock', () => {
  it('that is set back makes no backup a second time, with processes that go on and with new ones', async () => {
    await using here = await nightly()
    const { timeline } = here
    await timeline.start({ producers: 2, workers: 2 })
    await timeline.to('2026-11-20T02:00:01Z')
    await timeline.to('2026-11-20T01:00:00Z')
    await timeline.hours(3)
    expect(await timeline.slots()).toEqual(nightsOf(20))
    await timeline.kill()
    await timeline.to('2026-11-20T01:30:00Z')
    await timeline.start({ producers: 2, workers: 2 })
    await timeline.hours(3)
    expect(await timeline.slots()).toEqual(nightsOf(20))
    await timeline.to('2026-11-21T02:00:01Z')
    expect(await timeline.backups()).toEqual(nightsOf(20, 21))
  })

  it('that is set forward leaves out no night within the lateness', async () => {
    await using here = await nightly()
    const { timeline } = here
    await timeline.start({ producers: 2, workers: 2 })
    await timeline.to('2026-11-20T01:00:00Z')
    await timeline.to('2026-11-20T05:00:00Z')
    await timeline.to('2026-11-23T03:00:00Z')
    await timeline.hours(2)
    expect(await timeline.slots()).toEqual(nightsOf(20, 23))
    expect(await timeline.backups()).toEqual(nightsOf(20, 23))
  })
})
