import { writeFile } from 'node:fs/promises'
import { expect } from '@jest/globals'
import { startInstallation } from './installation.ts'
import { temporaryDirectory } from './temporary-directory.ts'
import { Timeline } from './timeline.ts'

const [minute, hour] = [60_000, 3_600_000]

/**
 * Has two producers and two workers live from the evening before the first of three nights until after the last, with all
 * of them killed and started again in the hour after the backup of the second, in which clocks are changed.
 * @param nights when the three backups are due, in UTC, without seconds
 */
export async function expectNightly(
  cron: string,
  timeZone: string,
  nights: readonly string[],
): Promise<void> {
  const due = nights.map((night) => `${night}:00.000Z`)
  const [first = 0, change = 0] = due.map(Date.parse)
  await using installation = await startInstallation({ BACKUP_CRON: cron, BACKUP_TIMEZONE: timeZone })
  const timeline = new Timeline(installation, new Date(first - 6 * hour))
  await timeline.start({ producers: 2, workers: 2 })
  await timeline.to(new Date(first + hour))
  await timeline.hours(20)
  // Its hour may still come a second time.
  await timeline.to(new Date(change + 15 * minute))
  await timeline.kill()
  await timeline.to(new Date(change + 20 * minute))
  await timeline.start({ producers: 2, workers: 2 })
  await timeline.hours(36)
  expect(await timeline.slots()).toEqual(due)
  expect(await timeline.backups()).toEqual(due)
}

/** An installation whose nightly backup, at two o'clock UTC, is made up for within four hours. */
export async function nightly() {
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

/** When its backups of these days of November 2026 are due. */
export const nightsOf = (...days: number[]) => days.map((day) => `2026-11-${String(day)}T02:00:00.000Z`)
