import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from '@jest/globals'
import { readSchedules } from '@securyflex/shared/queue'
import { until } from '../helpers/command.ts'
import { startInstallation } from '../helpers/installation.ts'
import { expectNightly } from '../helpers/nights.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { Timeline } from '../helpers/timeline.ts'

/**
 * Real producers, workers, Redis and PostgreSQL, in a time that is not today's: `Date` is replaced in each process before
 * it loads anything, so that BullMQ, which plans and fires by `Date.now()`, lives in that time as well. The test sets
 * the time and lets it jump; nobody waits for hours to pass. Only Redis' own expiry goes by the real clock.
 */
describe('a nightly backup is made exactly once a night by two producers and two workers, all of them restarted in that hour', () => {
  it.each([
    ['when clocks are set back', ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30']],
    ['when they are set forward', ['2027-03-27T01:30', '2027-03-28T01:30', '2027-03-29T00:30']],
  ])('%s', async (_, nights) => {
    await expectNightly('30 2 * * *', 'Europe/Amsterdam', nights)
  })
})

/** An installation whose nightly backup, at two o'clock UTC, is made up for within four hours. */
async function nightly() {
  const directory = await temporaryDirectory()
  const file = directory.join('backup.config.yaml')
  await writeFile(file, 'defaults: { schedule: 0 2 * * *, timeZone: UTC, latenessHours: 4 }\n')
  const installation = await startInstallation({ BACKUP_CONFIG: file })
  return {
    installation,
    timeline: new Timeline(installation, new Date('2026-11-20T00:00:00Z')),
    async [Symbol.asyncDispose]() {
      await installation[Symbol.asyncDispose]()
      await directory.remove()
    },
  }
}

const nights = (...days: number[]) => days.map((day) => `2026-11-${String(day)}T02:00:00.000Z`)

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
    expect(await timeline.backups()).toEqual(nights(20, 24))
    await timeline.to('2026-11-25T02:00:01Z')
    expect(await timeline.backups()).toEqual(nights(20, 24, 25))
    expect(await timeline.slots()).toEqual(nights(20, 24, 25))
  })

  it('that ends too late nothing is made up for, and the next night is as ever', async () => {
    await using here = await nightly()
    const { timeline } = here
    await timeline.start({ producers: 1, workers: 1 })
    await timeline.to('2026-11-20T03:00:00Z')
    await timeline.kill()
    await timeline.to('2026-11-22T06:30:00Z')
    await timeline.start({ producers: 1, workers: 1 })
    await timeline.hours(12)
    expect(await timeline.slots()).toEqual(nights(20))
    await timeline.to('2026-11-23T02:00:01Z')
    expect(await timeline.slots()).toEqual(nights(20, 23))
    expect(await timeline.backups()).toEqual(nights(20, 23))
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
    expect(await timeline.backups()).toEqual(nights(20))
    await timeline.to('2026-11-21T02:00:01Z')
    expect(await timeline.slots()).toEqual(nights(20, 21))
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
    expect(await timeline.backups()).toEqual(nights(20, 21, 22))
    await timeline.kill()
    await timeline.to('2026-11-25T04:00:00Z')
    await timeline.start({ producers: 0, workers: 2 })
    await timeline.to('2026-11-26T02:00:01Z')
    expect(await timeline.backups()).toEqual(nights(20, 21, 22, 25, 26))
    expect(await timeline.slots()).toEqual(nights(20, 21, 22, 25, 26))
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
    expect(await timeline.slots()).toEqual(nights(20))
    await timeline.kill()
    await timeline.to('2026-11-20T01:30:00Z')
    await timeline.start({ producers: 2, workers: 2 })
    await timeline.hours(3)
    expect(await timeline.slots()).toEqual(nights(20))
    await timeline.to('2026-11-21T02:00:01Z')
    expect(await timeline.backups()).toEqual(nights(20, 21))
  })

  it('that is set forward leaves out no night within the lateness', async () => {
    await using here = await nightly()
    const { timeline } = here
    await timeline.start({ producers: 2, workers: 2 })
    await timeline.to('2026-11-20T01:00:00Z')
    await timeline.to('2026-11-20T05:00:00Z')
    await timeline.to('2026-11-23T03:00:00Z')
    await timeline.hours(2)
    expect(await timeline.slots()).toEqual(nights(20, 23))
    expect(await timeline.backups()).toEqual(nights(20, 23))
  })
})
