import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { readReport, type RunReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { hasBegun, type Queues, waitOf } from '@securyflex/shared/queue'
import { parseRunId } from '@securyflex/shared/repository'
import { openStorageForReading } from '@securyflex/shared/storage'
import type { Job } from 'bullmq'

/** A run as the API tells it. */
export interface ToldRun {
  readonly run: string
  readonly source: string
  readonly state: 'waiting' | 'running' | 'success' | 'degraded' | 'failed' | 'cancelled'
  /** Why it does not begin. */
  readonly waitsFor?: string
  /** From the first destination that has it; it outlives Redis. */
  readonly report?: RunReport
}

/** @throws BACKUP_NOT_FOUND */
export async function tellRun(config: Config, queues: Queues | undefined, run: string): Promise<ToldRun> {
  const source = parseRunId(run)?.source
  const job = source === undefined ? undefined : ((await queues?.get('run').getJob(run)) as Job | undefined)
  const report = source === undefined ? undefined : await anyReport(config, source, run)
  if (source !== undefined && (job !== undefined || report !== undefined))
    return told(run, source, job, report)
  throw new BackupError('BACKUP_NOT_FOUND', `There is no run “${run}”.`, {
    hint: 'Run ids look like shop.20261123T020000Z.3fa2; GET /api/v1/runs lists them.',
  })
}

async function told(
  run: string,
  source: string,
  job: Job | undefined,
  report: RunReport | undefined,
): Promise<ToldRun> {
  const waitsFor = job === undefined ? undefined : waitOf(job)
  const state = await stateOf(job, report)
  return {
    run,
    source,
    state,
    ...(state === 'waiting' && waitsFor !== undefined ? { waitsFor } : {}),
    ...(report === undefined ? {} : { report }),
  }
}

async function stateOf(job: Job | undefined, report: RunReport | undefined): Promise<ToldRun['state']> {
  const state = await job?.getState()
  const isOver = job === undefined || state === 'failed' || state === 'completed'
  // The report of a run that was retried is that of before until its new dump begins.
  if (!isOver)
    return state === 'active' || state === 'waiting-children' || hasBegun(job) ? 'running' : 'waiting'
  if (report !== undefined && report.outcome !== 'running') return report.outcome
  if (state === 'failed') return 'failed'
  return state === 'completed' ? 'success' : 'running'
}

async function anyReport(config: Config, source: string, run: string): Promise<RunReport | undefined> {
  const keys = new KeyRing(config.keys)
  for (const destination of config.destinations) {
    const report = await readReport(openStorageForReading(destination), source, run, keys)
    if (report !== undefined) return report
  }
  return undefined
}

/** Runs that wait or are under way, as far as the queue knows, in the order of their requests. */
export async function runsUnderWay(queues: Queues): Promise<ToldRun[]> {
  const states = ['active', 'waiting', 'delayed', 'prioritized', 'waiting-children'] as const
  const jobs = (await queues.get('run').getJobs([...states])) as Job[]
  const runs = jobs.flatMap((job) => {
    const source = parseRunId(job.id ?? '')?.source
    return source === undefined ? [] : [told(job.id ?? '', source, job, undefined)]
  })
  return (await Promise.all(runs)).sort((one, other) => (one.run < other.run ? -1 : 1))
}
