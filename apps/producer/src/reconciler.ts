import type { Config } from '@securyflex/shared/config'
import { findReports, type RunReport, writeReport } from '@securyflex/shared/history'
import type { KeyRing } from '@securyflex/shared/keys'
import type { Logger } from '@securyflex/shared/logging'
import { composeMessage } from '@securyflex/shared/notify'
import { jobIds, prefix, type Queues, queueName } from '@securyflex/shared/queue'
import type { Storage } from '@securyflex/shared/storage'
import { Job } from 'bullmq'

export interface ReconcilerContext {
  readonly config: Config
  readonly queues: Queues
  readonly storages: readonly Storage[]
  readonly keys: KeyRing
  readonly logger: Logger
  readonly clock: () => Date
}

/** Reports of a source that are looked at: a run takes two days at most, and one runs at a time. */
const recentReports = 20

/** Finds what the queues cannot mend themselves. Everything it does may be done twice. */
export async function reconcile(context: ReconcilerContext): Promise<void> {
  await releaseParkedRuns(context)
  for (const { name } of context.config.sources) await closeLostRuns(context, name)
}

/** A run waits for children; if all that it waits for have ended, nobody will wake it. */
async function releaseParkedRuns({ queues, logger }: ReconcilerContext): Promise<void> {
  for (const run of await queues.get('run').getWaitingChildren()) {
    const { unprocessed = [] } = await run.getDependencies({ unprocessed: { count: 1000 } })
    const children = await Promise.all(unprocessed.map((key) => findChild(queues, key, run)))
    if (children.length === 0 || children.some(({ ended }) => !ended)) continue
    logger.warn('The run waited for steps that had ended; it goes on.', { run: run.id })
    for (const { job } of children) await job.removeChildDependency()
  }
}

/** The child behind a dependency key, `securyflex:<queue>:<id>`; one that was removed counts as ended. */
async function findChild(queues: Queues, key: string, run: Job): Promise<{ job: Job; ended: boolean }> {
  const [, queue = '', id = ''] = key.split(':')
  const job = (await queues.byName(queue).getJob(id)) as Job | undefined
  if (job !== undefined) return { job, ended: (await job.isCompleted()) || (await job.isFailed()) }
  const gone = new Job(queues.byName(queue), 'gone', {}, {}, id)
  gone.parentKey = `${prefix}:${queueName('run')}:${run.id ?? ''}`
  return { job: gone, ended: true }
}

/** A report that says "running" while no job stands for it: the run ended without being able to say so. */
async function closeLostRuns(context: ReconcilerContext, source: string): Promise<void> {
  const { storages, keys, queues } = context
  const seen = new Set<string>()
  for (const storage of storages) {
    for await (const { report } of findReports(storage, source, keys, recentReports)) {
      if (report?.outcome !== 'running' || seen.has(report.run)) continue
      seen.add(report.run)
      const job = await queues.get('run').getJob(report.run)
      const why = job === undefined ? lostByRedis : (await job.isFailed()) ? job.failedReason : undefined
      if (why !== undefined) await closeRun(context, report, why)
    }
  }
}

const lostByRedis = 'Redis lost the jobs of this run (restarted without its data, or flushed).'

async function closeRun(context: ReconcilerContext, begun: RunReport, reason: string): Promise<void> {
  const { config, queues, storages, keys, logger, clock } = context
  const ended: RunReport = {
    ...begun,
    outcome: 'failed',
    finishedAt: clock().toISOString(),
    code: 'RUN_FAILED',
    reason,
    hint: 'Ask for it again: npm run backup',
  }
  const message = { ...composeMessage(ended) }
  for (const channel of config.webhook === undefined ? (['log'] as const) : (['log', 'webhook'] as const)) {
    const id = jobIds.notify(begun.run, begun.generation, `lost-${channel}`)
    await queues.add('notify', id, { v: 1, run: begun.run, source: begun.source, channel, message })
  }
  for (const { storage, why } of await writeReport(storages, ended, keys)) {
    logger.warn(`The report of ${begun.run} was not written to ${storage.name}: ${why}`)
  }
  logger.error(`${begun.run} failed: ${reason}`, { run: begun.run })
}
