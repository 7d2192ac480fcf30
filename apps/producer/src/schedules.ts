import { type Config, settingsOf } from '@securyflex/shared/config'
import { describe } from '@securyflex/shared/errors'
import { newestRun } from '@securyflex/shared/history'
import type { Logger } from '@securyflex/shared/logging'
import {
  jobOptions,
  type KeptSchedule,
  lastSet,
  markOf,
  noteSet,
  type Queues,
  readSchedules,
  requestSlot,
  schedulerId,
  type WantedSchedule,
} from '@securyflex/shared/queue'
import { newRunId, timeOfRun } from '@securyflex/shared/repository'
import { nextSlots, slotToAsk } from '@securyflex/shared/schedule'
import { type Storage, within } from '@securyflex/shared/storage'
import { applyScrubs, asMarked, wantedScrubs } from './scrub-schedules.ts'

/** What a store has for saying which run is the newest of a source, in ms. */
const patience = 10_000

/** What makes the kept schedules those that are wanted. */
export interface SchedulePlan {
  /** Slots that came while nobody served them: asked for before anything is changed, which would delete them. */
  readonly overdue: readonly { readonly schedule: WantedSchedule; readonly slot: Date }[]
  readonly add: readonly WantedSchedule[]
  readonly remove: readonly KeptSchedule[]
}

/** Pure: compares what Redis keeps with what the configuration wants. Unchanged schedules are left alone. */
export function planSchedules(
  wanted: readonly WantedSchedule[],
  kept: readonly KeptSchedule[],
  now: Date,
): SchedulePlan {
  const wantedIds = new Set(wanted.map(schedulerId))
  const keptIds = new Set(kept.map(({ id }) => id))
  const sources = new Set(wanted.map(({ source }) => source))
  return {
    overdue: kept.flatMap(({ next, source, cron, timeZone }) =>
      next !== undefined && next <= now && sources.has(source)
        ? [{ schedule: { source, cron, timeZone }, slot: next }]
        : [],
    ),
    add: wanted.filter((schedule) => !keptIds.has(schedulerId(schedule))),
    remove: kept.filter(({ id }) => !wantedIds.has(id)),
  }
}

/** Brings the schedules in Redis in line with the configuration. They fire without a producer from then on. */
export async function applySchedules(
  config: Config,
  queues: Queues,
  logger: Logger,
  now: Date,
  storages: readonly Storage[],
): Promise<void> {
  const wanted = wantedSchedules(config)
  const kept = await readSchedules(queues)
  const plan = planSchedules(wanted, kept, now)
  if (config.sources.length + config.groups.length === 0 && kept.length > 0) {
    logger.error(
      'No database is configured, so the schedules are removed and nothing is backed up. If that is not meant, see that the configuration is where it is looked for (BACKUP_CONFIG).',
    )
  }
  const lost = kept.length === 0 ? await passedSinceLastRun(wanted, storages, logger, now) : []
  for (const { schedule, slot } of [...plan.overdue, ...lost]) {
    await askLate(config, queues, logger, schedule, slot, now)
  }
  for (const schedule of plan.add) await setSchedule(config, queues, logger, schedule)
  await removeSchedules(queues, logger, plan.remove)
  await applyScrubs(config, queues, logger)
  await noteSet(queues, markOfAll(config))
}

async function removeSchedules(queues: Queues, logger: Logger, kept: readonly KeptSchedule[]): Promise<void> {
  for (const { id, source, cron } of kept) {
    await queues.get('schedule').removeJobScheduler(id)
    logger.info(`The schedule “${cron}” of ${source} is removed.`)
  }
}

/**
 * A Redis without any schedule is new, or has lost its data while no producer was there to see it. Then the run reports
 * tell since when slots have passed unserved; a source without any has nothing to make up for.
 */
async function passedSinceLastRun(
  wanted: readonly WantedSchedule[],
  storages: readonly Storage[],
  logger: Logger,
  now: Date,
): Promise<SchedulePlan['overdue']> {
  const last = new Map<string, Date>()
  const sources = new Set(wanted.map((schedule) => schedule.source))
  for (const storage of storages) {
    try {
      for (const source of sources) {
        const run = await within(patience, storage, (place) => newestRun(place, source))
        const at = run === undefined ? undefined : timeOfRun(run)
        if (at !== undefined && at > (last.get(source) ?? new Date(0))) last.set(source, at)
      }
    } catch (error) {
      // One that does not answer for one source does not for the others.
      logger.warn(`The runs in ${storage.name} cannot be looked at: ${describe(error)}`, { error })
    }
  }
  return wanted.flatMap((schedule) => {
    const since = last.get(schedule.source)
    const [slot] = since === undefined ? [] : nextSlots(schedule, since, 1)
    return slot !== undefined && slot <= now ? [{ schedule, slot }] : []
  })
}

/**
 * Sees that Redis keeps the schedules. One that restarts without its data, or is flushed, loses them, and
 * nothing would ever fire again.
 */
export class ScheduleKeeper {
  /** When each fires next, as last seen: Redis cannot tell what it has lost. */
  #next = new Map<string, Date>()
  /** The mark of another producer's schedules, once it was told. */
  #told: string | undefined

  /** Sets again what is gone, and asks for the slots that passed meanwhile. */
  async look(config: Config, queues: Queues, logger: Logger, now: Date): Promise<void> {
    const wanted = wantedSchedules(config)
    if (await this.#areOfAnother(config, queues, logger)) return
    const kept = await readSchedules(queues)
    const { add: lost, remove } = planSchedules(wanted, kept, now)
    for (const schedule of lost) {
      logger.warn(`Redis lost the schedule of ${schedule.source}; it is set again.`)
      const next = this.#next.get(schedulerId(schedule))
      if (next !== undefined && next <= now) await askLate(config, queues, logger, schedule, next, now)
      await setSchedule(config, queues, logger, schedule)
    }
    // What a producer has set that has gone since.
    await removeSchedules(queues, logger, remove)
    await applyScrubs(config, queues, logger)
    await noteSet(queues, markOfAll(config))
    const current = lost.length === 0 ? kept : await readSchedules(queues)
    this.#next = new Map(current.flatMap(({ id, next }) => (next === undefined ? [] : [[id, next]])))
  }

  /**
   * Whether a producer with another configuration has set them since, and is there: what is gone was not lost then. Once
   * it has gone, this one's hold again: nobody may be left without backups by one that was started by mistake.
   */
  async #areOfAnother(config: Config, queues: Queues, logger: Logger): Promise<boolean> {
    const mark = await lastSet(queues)
    if (mark === undefined || mark === markOfAll(config)) {
      this.#told = undefined
      return false
    }
    if (this.#told !== mark) {
      logger.warn(
        'Another producer has set other schedules, which hold: have this one read its configuration again (SIGHUP).',
      )
    }
    this.#told = mark
    return true
  }
}

/** Asks for what is to be made up for, now that `missed` has passed unserved: the newest slot, if it is not too old. */
async function askLate(
  config: Config,
  queues: Queues,
  logger: Logger,
  { source, cron, timeZone }: WantedSchedule,
  missed: Date,
  now: Date,
): Promise<void> {
  const { latenessHours, overlap } = settingsOf(config, source)
  const slot = slotToAsk({ cron, timeZone }, missed, now, latenessHours)
  if (slot === undefined) {
    const limit = `${String(latenessHours)} h (latenessHours)`
    logger.warn(
      `The backup of ${source} due at ${missed.toISOString()} is left out: it is later than ${limit}.`,
    )
    return
  }
  const request = {
    v: 1 as const,
    source,
    requestedBy: 'schedule, late',
    requestedAt: now.toISOString(),
    slot: slot.toISOString(),
    options: {},
  }
  const requested = await requestSlot(queues, newRunId(source, now), request, { overlap })
  if (requested?.accepted) {
    logger.warn(`The backup of ${source} due at ${slot.toISOString()} is made now.`, { run: requested.run })
  }
}

async function setSchedule(
  config: Config,
  queues: Queues,
  logger: Logger,
  schedule: WantedSchedule,
): Promise<void> {
  const { source, cron, timeZone } = schedule
  const { attempts, backoff, removeOnComplete, removeOnFail } = jobOptions(
    'schedule',
    config.worker.retryDelay,
  )
  await queues.get('schedule').upsertJobScheduler(
    schedulerId(schedule),
    { pattern: cron, tz: timeZone },
    {
      name: 'schedule',
      data: { v: 1, source },
      opts: { attempts, backoff, removeOnComplete, removeOnFail } as object,
    },
  )
  logger.info(`Backups of ${source}: ${cron} (${timeZone}).`)
}

/** Tells configurations apart by all that they want by the clock. */
const markOfAll = (config: Config) => markOf([...wantedSchedules(config), ...asMarked(wantedScrubs(config))])

function wantedSchedules({ sources, groups }: Config): WantedSchedule[] {
  return [...sources, ...groups].flatMap(({ name, schedules }) =>
    schedules.map(({ cron, timeZone }) => ({ source: name, cron, timeZone })),
  )
}
