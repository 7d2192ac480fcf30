import { describe, expect, it } from '@jest/globals'
import { onlyInFull } from '../helpers/in-full.ts'
import { expectNightly, nightly, nightsOf } from '../helpers/nights.ts'

/**
 * Real producers, workers, Redis and PostgreSQL, in a time that is not today's: `Date` is replaced in each process before
 * it loads anything, so that BullMQ, which plans and fires by `Date.now()`, lives in that time as well. The test sets
 * the time and lets it jump; nobody waits for hours to pass. Only Redis' own expiry goes by the real clock.
 */
describe('a nightly backup is made exactly once a night by two producers and two workers, all of them restarted in that hour', () => {
  it.each([
    ['when clocks are set back', ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30']],
    ...onlyInFull<[string, string[]]>([
      'when they are set forward',
      ['2027-03-27T01:30', '2027-03-28T01:30', '2027-03-29T00:30'],
    ]),
  ])('%s', async (_, nights) => {
    await expectNightly('30 2 * * *', 'Europe/Amsterdam', nights)
  })
})

describe('after an outage', () => {
  it('of everything, the newest slot is made up for once, by whichever of two producers and two workers comes first', async () => {
    await using here = await nightly()
    const { timeline } = here
    await timeline.start({ producers: 2, workers: 2 })
    await timeline.to('2026-11-20T03:00:00Z')
    await timeline.kill()
    await timeline.to('2026-11-24T05:30:00Z')
    await timeline.start({ producers: 2, workers: 2 })
    await timeline.hours(4)
    expect(await timeline.backups()).toEqual(nightsOf(20, 24))
    await timeline.to('2026-11-25T02:00:01Z')
    expect(await timeline.backups()).toEqual(nightsOf(20, 24, 25))
    expect(await timeline.slots()).toEqual(nightsOf(20, 24, 25))
  })
})
