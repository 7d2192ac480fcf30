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
  const plan = planSchedules(wantedSchedules(config), await readSchedules(queues), now)
  for (const { source, slot } of plan.overdue) await askLate(queues, logger, source, slot, now)
  for (const schedule of plan.upsert) await setSchedule(config, queues, logger, schedule)
  for (const source of plan.remove) {
    await queues.get('schedule').removeJobScheduler(source)
    logger.info(`The schedule of ${source} is removed.`)
  }
}

/**
 * Sees that Redis keeps the schedules. One that restarts without its data, or is flushed, loses them, and
 * nothing would ever fire again.
 */
export class ScheduleKeeper {
  /** When each fires next, as last seen: Redis cannot tell what it has lost. */
  #next = new Map<string, Date>()

  /** Sets again what is gone, and asks for the slots that passed meanwhile. */
  async look(config: Config, queues: Queues, logger: Logger, now: Date): Promise<void> {
    const kept = await readSchedules(queues)
    const lost = wantedSchedules(config).filter(({ source }) => !kept.some((one) => one.source === source))
    for (const schedule of lost) {
      logger.warn(`Redis lost the schedule of ${schedule.source}; it is set again.`)
      const next = this.#next.get(schedule.source)
      if (next !== undefined && next <= now) await askLate(queues, logger, schedule.source, next, now)
      await setSchedule(config, queues, logger, schedule)
    }
    const current = lost.length === 0 ? kept : await readSchedules(queues)
    this.#next = new Map(current.flatMap(({ source, next }) => (next === undefined ? [] : [[source, next]])))
  }
}

async function askLate(queues: Queues, logger: Logger, source: string, slot: Date, now: Date): Promise<void> {
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

async function setSchedule(
  config: Config,
  queues: Queues,
  logger: Logger,
  { source, cron, timeZone }: Omit<KeptSchedule, 'next'>,
): Promise<void> {
  const { attempts, backoff, removeOnComplete, removeOnFail } = jobOptions(
    'schedule',
    config.worker.retryDelay,
  )
  await queues.get('schedule').upsertJobScheduler(
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

function wantedSchedules({ schedule, sources }: Config): Omit<KeptSchedule, 'next'>[] {
  if (!schedule.enabled) return []
  return sources.map(({ name }) => ({ source: name, cron: schedule.cron, timeZone: schedule.timeZone }))
}
