import { describe, it } from '@jest/globals'
import { expectNightly } from '../helpers/nights.ts'

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
