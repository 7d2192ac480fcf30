import type { Config } from '@securyflex/shared/config'
import type { BackupError } from '@securyflex/shared/errors'
import { asBackupError } from '@securyflex/shared/errors'
import { findReports, type RunReport } from '@securyflex/shared/history'
import type { KeyRing } from '@securyflex/shared/keys'
import {
  listPauses,
  type Pause,
  type Queues,
  recentActions,
  type RecordedAction,
  waitOf,
} from '@securyflex/shared/queue'
import { nextTimes } from '@securyflex/shared/schedule'
import type { Storage } from '@securyflex/shared/storage'
import { unservedQueues, withQueues } from './queues.ts'
import { answeringRepositories, sourcesOf } from './repositories.ts'
import { findService } from './service/index.ts'

/** How many of the schedule's next times are shown. */
const shownTimes = 3
/** How many of the newest actions are shown. */
const shownActions = 5

/** What `status` shows; also its JSON document. Times are UTC. */
export interface Status {
  /** Whether backups are asked for by the clock at all. */
  readonly scheduleEnabled: boolean
  /** The schedules of each source or group of sources, and when they fire next. */
  readonly schedules: readonly {
    readonly source: string
    readonly timeZone: string
    readonly cron: readonly string[]
    readonly next: readonly string[]
  }[]
  readonly service: {
    /** Where Redis is; null if none is known. */
    readonly redis: string | null
    readonly running: boolean
    /** Queues without a worker. */
    readonly unserved: readonly string[]
  }
  readonly underWay: readonly {
    readonly run: string
    readonly state: string
    /** Why it does not begin: `server main: 2 of 2 runs`; null if nothing but a worker's free slot is missing. */
    readonly waitsFor: string | null
    readonly requestedAt: string
  }[]
  /** What is paused, by whom and since when; `*` is everything. */
  readonly paused: readonly Pause[]
  /** The newest things that were done, newest first. */
  readonly actions: readonly RecordedAction[]
  readonly sources: readonly LastRun[]
}

interface LastRun {
  readonly source: string
  readonly last: {
    readonly run: string
    readonly outcome: RunReport['outcome']
    readonly startedAt: string
    readonly finishedAt: string | null
    readonly reason: string | null
  } | null
  /** Why the last run's report could not be read. */
  readonly problem: string | null
}

/** Looks at configuration, Redis and destinations. What is wrong with Redis comes beside what else is known. */
export async function gatherStatus(
  config: Config,
  keys: KeyRing,
  now: Date,
): Promise<{ status: Status; problem: BackupError | undefined }> {
  const live = await askRedis(config)
  const storages = await answeringRepositories(config)
  const sources: LastRun[] = []
  for (const source of await sourcesOf(config, storages, undefined)) {
    sources.push(await lastRun(storages, source, keys))
  }
  return {
    status: {
      scheduleEnabled: config.scheduleEnabled,
      schedules: schedulesOf(config, now),
      service: live.service,
      underWay: live.underWay,
      paused: live.paused,
      actions: live.actions,
      sources,
    },
    problem: live.problem,
  }
}

function schedulesOf({ sources, groups }: Config, now: Date): Status['schedules'] {
  return [...sources, ...groups].map((one) => ({
    source: one.name,
    timeZone: one.timeZone,
    cron: one.schedules.map(({ cron }) => cron),
    next: nextTimes(one.name, one, now, shownTimes).map(({ at }) => at.toISOString()),
  }))
}

type Live = Pick<Status, 'service' | 'underWay' | 'paused' | 'actions'> & {
  readonly problem: BackupError | undefined
}

async function askRedis(config: Config): Promise<Live> {
  const redis = (config.redis ?? (await findService(config))?.redis)?.shown ?? null
  const silent = { service: { redis, running: false, unserved: [] }, underWay: [], paused: [], actions: [] }
  if (redis === null) return { ...silent, problem: undefined }
  try {
    return await withQueues(config, async (queues) => ({
      service: { redis, running: true, unserved: await unservedQueues(queues, config) },
      underWay: await runsUnderWay(queues),
      paused: await listPauses(queues.redis),
      actions: await recentActions(queues.redis, shownActions),
      problem: undefined,
    }))
  } catch (error) {
    const known = asBackupError(error)
    if (known.code !== 'REDIS_UNREACHABLE') throw error
    return { ...silent, problem: known }
  }
}

async function runsUnderWay(queues: Queues): Promise<Status['underWay']> {
  const queue = queues.get('run')
  const jobs = await queue.getJobs(['active', 'waiting', 'delayed', 'prioritized', 'waiting-children'])
  return Promise.all(
    jobs.map(async (job) => {
      const state = await job.getState()
      // A run sleeps while its steps work.
      const shown = state === 'waiting-children' || state === 'active' ? 'running' : state
      return {
        run: job.id ?? '',
        state: shown,
        waitsFor: shown === 'running' ? null : (waitOf(job) ?? null),
        requestedAt: new Date(job.timestamp).toISOString(),
      }
    }),
  )
}

/** The newest report of a source that any destination has. */
async function lastRun(storages: readonly Storage[], source: string, keys: KeyRing): Promise<LastRun> {
  let newest: LastRun & { readonly run: string } = { source, last: null, problem: null, run: '' }
  for (const storage of storages) {
    for await (const { run, report, problem } of findReports(storage, source, keys, 1)) {
      if (run < newest.run || newest.last?.run === run) continue
      newest = { source, run, last: report === undefined ? null : shown(report), problem: problem ?? null }
    }
  }
  const { last, problem } = newest
  return { source, last, problem }
}

function shown({ run, outcome, startedAt, finishedAt, reason }: RunReport): LastRun['last'] {
  return { run, outcome, startedAt, finishedAt: finishedAt ?? null, reason: reason ?? null }
}
