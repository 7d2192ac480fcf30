import type { Config } from '@securyflex/shared/config'
import type { Logger } from '@securyflex/shared/logging'
import {
  jobOptions,
  type KeptSchedule,
  type Queues,
  readSchedules,
  requestSlot,
} from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'

/** What makes the kept schedules those that are wanted. */
export interface SchedulePlan {
  /** Slots that came while nobody served them: asked for before anything is changed, which would delete them. */
  readonly overdue: readonly { readonly source: string; readonly slot: Date }[]
  readonly upsert: readonly Omit<KeptSchedule, 'next'>[]
  /** Sources whose schedule goes. */
  readonly remove: readonly string[]
}

/** Pure: compares what Redis keeps with what the configuration wants. Unchanged schedules are left alone. */
export function planSchedules(
  wanted: readonly Omit<KeptSchedule, 'next'>[],
  kept: readonly KeptSchedule[],
  now: Date,
): SchedulePlan {
  const find = <T extends { source: string }>(list: readonly T[], source: string) =>
    list.find((schedule) => schedule.source === source)
  return {
    overdue: kept.flatMap(({ source, next }) =>
      next !== undefined && next <= now && find(wanted, source) !== undefined ? [{ source, slot: next }] : [],
    ),
    upsert: wanted.filter((schedule) => {
      const same = find(kept, schedule.source)
      return same?.cron !== schedule.cron || same.timeZone !== schedule.timeZone
    }),
    remove: kept.filter(({ source }) => find(wanted, source) === undefined).map(({ source }) => source),
  }
}

/** Brings the schedules in Redis in line with the configuration. They fire without a producer from then on. */
export async function applySchedules(
  config: Config,
  queues: Queues,
  logger: Logger,
  now: Date,
): Promise<void> {
  const queue = queues.get('schedule')
  const plan = planSchedules(wantedSchedules(config), await readSchedules(queues), now)
  for (const { source, slot } of plan.overdue) {
    const { run, accepted } = await requestSlot(queues, newRunId(source, now), {
      v: 1,
      source,
      requestedBy: 'schedule, late',
      requestedAt: now.toISOString(),
      slot: slot.toISOString(),
      options: {},
    })
    if (accepted) logger.warn(`The backup of ${source} due at ${slot.toISOString()} is made now.`, { run })
  }
  for (const { source, cron, timeZone } of plan.upsert) {
    const { attempts, backoff, removeOnComplete, removeOnFail } = jobOptions(
      'schedule',
      config.worker.retryDelay,
    )
    await queue.upsertJobScheduler(
      source,
      { pattern: cron, tz: timeZone },
      {
        name: 'schedule',
        data: { v: 1, source },
        opts: { attempts, backoff, removeOnComplete, removeOnFail } as object,
      },
    )
    logger.info(`Backups of ${source}: ${cron} (${timeZone}).`)
  }
  for (const source of plan.remove) {
    await queue.removeJobScheduler(source)
    logger.info(`The schedule of ${source} is removed.`)
  }
}

function wantedSchedules({ schedule, sources }: Config): Omit<KeptSchedule, 'next'>[] {
  if (!schedule.enabled) return []
  return sources.map(({ name }) => ({ source: name, cron: schedule.cron, timeZone: schedule.timeZone }))
}
