import type { Config } from '@securyflex/shared/config'
import type { Logger } from '@securyflex/shared/logging'
import {
  jobOptions,
  type Queues,
  readSchedules,
  schedulerId,
  type WantedSchedule,
} from '@securyflex/shared/queue'

/** When each source and group is to be scrubbed. */
export function wantedScrubs({ sources, groups }: Config): WantedSchedule[] {
  return [...sources, ...groups].flatMap(({ name, scrub }) =>
    scrub.schedules.map(({ cron, timeZone }) => ({ source: name, cron, timeZone })),
  )
}

/** Schedules of scrubs beside those of backups, which may be of the same source and times. */
export function asMarked(scrubs: readonly WantedSchedule[]): WantedSchedule[] {
  // No source's name has a full stop.
  return scrubs.map((one) => ({ ...one, source: `${one.source}.scrub` }))
}

/**
 * Brings the schedules of scrubs in Redis in line with the configuration; what is as it should be is left alone. A slot
 * that is lost with Redis' data, or with a schedule that is changed, is made up for by the next one: it takes what was not
 * read back for the longest time.
 */
export async function applyScrubs(config: Config, queues: Queues, logger: Logger): Promise<void> {
  const wanted = wantedScrubs(config)
  const kept = new Set((await readSchedules(queues, 'scrub')).map(({ id }) => id))
  const queue = queues.get('scrub')
  const { attempts, backoff, removeOnComplete, removeOnFail } = jobOptions('scrub', config.worker.retryDelay)
  for (const schedule of wanted) {
    const id = schedulerId(schedule)
    if (kept.delete(id)) continue
    const { source, cron, timeZone } = schedule
    const opts = { attempts, backoff, removeOnComplete, removeOnFail } as object
    const template = { name: 'scrub', data: { v: 1, source }, opts }
    await queue.upsertJobScheduler(id, { pattern: cron, tz: timeZone }, template)
    logger.info(`Scrubs of ${source}: ${cron} (${timeZone}).`)
  }
  for (const id of kept) await queue.removeJobScheduler(id)
}
