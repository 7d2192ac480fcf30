import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import type { Job } from 'bullmq'
import { until } from '../helpers/command.ts'
import { startInstallation } from '../helpers/installation.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'
import { Timeline } from '../helpers/timeline.ts'

let directory: TemporaryDirectory
beforeAll(async () => {
  directory = await temporaryDirectory()
})
afterAll(() => directory.remove())

it('is scrubbed once a night, with two producers and two workers that are all restarted, and once after nights without any', async () => {
  const file = directory.join('backup.config.yaml')
  await writeFile(file, 'defaults: { schedule: false, timeZone: UTC, scrub: { schedule: 0 4 * * * } }\n')
  await using installation = await startInstallation({ BACKUP_CONFIG: file })
  const queue = installation.queues.get('scrub')
  const timeline = new Timeline(installation, new Date('2026-11-20T00:00:00Z'))
  /** The nights of which scrubs were made. */
  const nights = async () => {
    const jobs = (await queue.getCompleted()) as Job[]
    const scrubs = jobs.flatMap(({ id }) => /^shop\.local\.(\d+)$/.exec(id ?? '')?.[1] ?? [])
    return scrubs.map((slot) => new Date(Number(slot)).toISOString()).sort()
  }
  const night = (day: number) => `2026-11-${String(day)}T04:00:00.000Z`
  const scrubbed = async (...days: number[]) => {
    await until(`scrubs of ${days.join(', ')}`, async () => {
      // A worker that sleeps until its next job, by the clock that it had, is woken as by a new job.
      await installation.queues.redis.zadd('securyflex:scrub:marker', '0', '0')
      return (await nights()).at(-1) === night(days.at(-1) ?? 0)
    })
    expect(await nights()).toEqual(days.map(night))
  }

  await timeline.start({ producers: 2, workers: 2 })
  await timeline.to('2026-11-20T04:00:01Z')
  await scrubbed(20)
  await timeline.kill()
  await timeline.start({ producers: 2, workers: 2 })
  await timeline.to('2026-11-21T04:00:01Z')
  await scrubbed(20, 21)
  await timeline.kill()
  await timeline.to('2026-11-25T12:00:00Z')
  await timeline.start({ producers: 2, workers: 2 })
  // Jobs are kept for four days.
  await scrubbed(22)
  await timeline.to('2026-11-26T04:00:01Z')
  await scrubbed(22, 26)
  expect(await queue.getFailedCount()).toBe(0)
  await timeline.kill()
})
