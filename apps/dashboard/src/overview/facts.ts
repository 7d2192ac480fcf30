import { type Config, groupOf } from '@securyflex/shared/config'
import { describe } from '@securyflex/shared/errors'
import { findReports, type FoundReport } from '@securyflex/shared/history'
import type { KeyRing } from '@securyflex/shared/keys'
import {
  evictionPolicy,
  listPauses,
  type Pause,
  queueName,
  queueNames,
  type Queues,
  recentActions,
  type RecordedAction,
  waitOf,
} from '@securyflex/shared/queue'
import { listSources, parseRunId } from '@securyflex/shared/repository'
import { openStorageForReading } from '@securyflex/shared/storage'

/** How many runs the first page lists. */
const mostRuns = 15
/** In how many of the newest run jobs sources are looked for. */
const mostJobs = 50
/** How many of the newest actions the first page lists. */
const mostActions = 5

/** What Redis tells about one queue; counts are jobs. */
export interface QueueFacts {
  readonly name: string
  readonly workers: number
  readonly active: number
  /** Waiting for a worker, for their next attempt, or for their children. */
  readonly waiting: number
  readonly failed: number
  readonly paused: boolean
}

/** When a schedule fires next. */
export interface NextRun {
  readonly source: string
  readonly at: Date
}

/** What the queues tell. */
export interface Live {
  readonly queues: readonly QueueFacts[]
  readonly next: readonly NextRun[]
  /** Sources of the newest requests, configured here or not. */
  readonly sources: readonly string[]
  readonly underWay: readonly RunUnderWay[]
  readonly paused: readonly Pause[]
  /** The newest things that were done, newest first. */
  readonly actions: readonly RecordedAction[]
  /** By what rule Redis drops keys when it is full; undefined if it does not. */
  readonly eviction: string | undefined
}

/** A run that waits or is under way. */
interface RunUnderWay {
  readonly run: string
  /** Why it does not begin; undefined if it has begun, or only waits for a worker's free slot. */
  readonly waitsFor: string | undefined
  readonly begun: boolean
}

/** Asks Redis. @throws if it goes away meanwhile */
export async function askQueues(queues: Queues, destinations: readonly string[]): Promise<Live> {
  const [facts, next, sources, underWay, paused, actions, eviction] = await Promise.all([
    Promise.all(queueNames(destinations).map((name) => askQueue(queues, name))),
    nextRuns(queues),
    requestedSources(queues),
    runsUnderWay(queues),
    listPauses(queues.redis),
    recentActions(queues.redis, mostActions),
    evictionPolicy(queues.redis),
  ])
  return { queues: facts, next, sources, underWay, paused, actions, eviction }
}

async function askQueue(queues: Queues, name: string): Promise<QueueFacts> {
  const queue = queues.byName(name)
  const [counts, workers, paused] = await Promise.all([
    queue.getJobCounts('active', 'waiting', 'prioritized', 'delayed', 'waiting-children', 'failed'),
    queue.getWorkersCount(),
    queue.isPaused(),
  ])
  const count = (state: string) => counts[state] ?? 0
  const waiting = count('waiting') + count('prioritized') + count('delayed') + count('waiting-children')
  // A scheduler always has its next job waiting; that is no backlog.
  const scheduled = name === queueName('schedule') ? count('delayed') : 0
  return {
    name,
    workers,
    active: count('active'),
    waiting: waiting - scheduled,
    failed: count('failed'),
    paused,
  }
}

async function nextRuns(queues: Queues): Promise<NextRun[]> {
  const schedulers = await queues.get('schedule').getJobSchedulers()
  const runs = schedulers.flatMap(({ key, next, template }) =>
    next === undefined ? [] : [{ source: sourceOf(template?.data) ?? key, at: new Date(next) }],
  )
  return runs.sort((one, other) => one.at.getTime() - other.at.getTime())
}

async function runsUnderWay(queues: Queues): Promise<RunUnderWay[]> {
  const states = ['active', 'waiting', 'delayed', 'prioritized', 'waiting-children'] as const
  const jobs = await queues.get('run').getJobs([...states], 0, mostJobs)
  return jobs.flatMap((job) => {
    if (parseRunId(job.id ?? '') === undefined) return []
    const begun = typeof job.data === 'object' && job.data !== null && 'plan' in job.data
    return [{ run: job.id ?? '', begun, waitsFor: begun ? undefined : waitOf(job) }]
  })
}

async function requestedSources(queues: Queues): Promise<string[]> {
  const states = ['active', 'waiting', 'waiting-children', 'completed', 'failed'] as const
  const jobs = await queues.get('run').getJobs([...states], 0, mostJobs)
  // A job's id is checked for its form, so that what is asked of a destination is a name.
  return jobs.flatMap(({ id }) => parseRunId(id ?? '')?.source ?? [])
}

function sourceOf(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || !('source' in data)) return undefined
  return typeof data.source === 'string' ? data.source : undefined
}

/** The newest runs of some sources, and which destinations could not be asked. */
export interface Past {
  readonly runs: readonly FoundReport[]
  readonly problems: readonly string[]
}

/**
 * Reads run reports from every destination; each run is told once, as the first destination tells it.
 * @param members reads those of the databases of groups, too, which only the destinations know
 */
export async function readPast(
  config: Config,
  keys: KeyRing,
  sources: readonly string[],
  { members = false }: { readonly members?: boolean } = {},
): Promise<Past> {
  const runs = new Map<string, FoundReport>()
  const problems: string[] = []
  for (const destination of config.destinations) {
    try {
      const storage = openStorageForReading(destination)
      const stored = members && config.groups.length > 0 ? await listSources(storage) : []
      const ofGroups = stored.filter((name) => groupOf(config, name) !== undefined)
      for (const source of new Set([...sources, ...ofGroups])) {
        for await (const found of findReports(storage, source, keys, mostRuns)) {
          if (runs.get(found.run)?.report === undefined) runs.set(found.run, found)
        }
      }
    } catch (error) {
      problems.push(`${destination.name}: ${describe(error)}`)
    }
  }
  const newest = [...runs.values()].sort((one, other) => timeOf(other.run).localeCompare(timeOf(one.run)))
  return { runs: newest.slice(0, mostRuns), problems }
}

/** The time in a run's id, which sorts by age: `<source>.<time>.<4 hex>`. */
function timeOf(run: string): string {
  return run.split('.')[1] ?? ''
}
