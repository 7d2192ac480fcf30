import { type Config, groupOf, settingsOf } from '@securyflex/shared/config'
import { asBackupError } from '@securyflex/shared/errors'
import {
  findReports,
  readReport,
  type RunReport,
  runReportSchema,
  writeReport,
} from '@securyflex/shared/history'
import type { KeyRing } from '@securyflex/shared/keys'
import type { Logger } from '@securyflex/shared/logging'
import { composeMessage } from '@securyflex/shared/notify'
import { jobIds, markedSources, prefix, type Queues, queueName, requestAgain } from '@securyflex/shared/queue'
import { listSources } from '@securyflex/shared/repository'
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
  for (const name of await knownSources(context)) await closeLostRuns(context, name)
  await makeUpForAgain(context)
}

/** Those of the configuration, and the databases of its groups that have had a run. */
async function knownSources({ config, storages, logger }: ReconcilerContext): Promise<string[]> {
  const own = config.sources.map(({ name }) => name)
  if (config.groups.length === 0) return own
  const stored = storages.map(async (storage) => {
    try {
      return await listSources(storage)
    } catch (error) {
      logger.warn(`${storage.name} does not say what it holds: ${asBackupError(error).message}`, { error })
      return []
    }
  })
  const members = (await Promise.all(stored)).flat().filter((name) => groupOf(config, name) !== undefined)
  return [...new Set([...own, ...members])]
}

/** One more run that was asked for while another was under way, and whose worker died before it could ask. */
async function makeUpForAgain({ queues, logger }: ReconcilerContext): Promise<void> {
  for (const source of await markedSources(queues.redis)) {
    const run = await requestAgain(queues, source)
    if (run !== undefined) logger.info(`One more backup of ${source} was asked for: ${run}.`, { run })
  }
}

/** A run waits for children; if all that it waits for have ended, nobody will wake it. */
async function releaseParkedRuns({ queues, logger }: ReconcilerContext): Promise<void> {
  for (const run of await queues.get('run').getWaitingChildren()) {
    const { unprocessed = [] } = await run.getDependencies({ unprocessed: { count: 1000 } })
    const children = await Promise.all(unprocessed.map((key) => findChild(queues, key, run)))
    if (children.length === 0 || children.some(({ ended }) => !ended)) continue
    logger.warn('The run waited for steps that had ended; it goes on.', { run: run.id })
    for (const { job } of children) await release(queues, job)
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

async function release(queues: Queues, job: Job): Promise<void> {
  // BullMQ lets go only of a job that is there: one that is gone gets a record, which goes with the dependency.
  if (job.name === 'gone' && job.parentKey !== undefined) {
    await queues.redis.hset(`${prefix}:${job.queueName}:${job.id ?? ''}`, 'parentKey', job.parentKey)
  }
  await job.removeChildDependency()
}

/** What each store says of one run. */
type Said = { readonly storage: Storage; readonly report: RunReport }[]

/** Reports that say "running" of runs that ended without being able to say so everywhere. */
async function closeLostRuns(context: ReconcilerContext, source: string): Promise<void> {
  for (const [run, said] of await recentSaid(context, source)) {
    if (!said.some(isRunning)) continue
    const job = (await context.queues.get('run').getJob(run)) as Job | undefined
    const ended = job === undefined || (await job.isFailed()) || (await job.isCompleted())
    if (!ended) continue
    // Read again: a run writes its report first and ends then.
    const now = await sayAgain(context, source, run, said)
    const known = now.find((one) => !isRunning(one))?.report ?? resultOf(job, now)
    const begun = now.find(isRunning)
    if (begun === undefined) continue
    if (known === undefined) await closeRun(context, begun.report, job?.failedReason ?? lostByRedis)
    else
      await keep(
        context,
        known,
        now.filter(isRunning).map(({ storage }) => storage),
      )
  }
}

const isRunning = ({ report }: Said[number]) => report.outcome === 'running'

/** The latest reports at every store that answers, by run. */
async function recentSaid(context: ReconcilerContext, source: string): Promise<Map<string, Said>> {
  const { storages, keys, logger } = context
  const said = new Map<string, Said>()
  for (const storage of storages) {
    try {
      for await (const { run, report } of findReports(storage, source, keys, recentReports)) {
        if (report !== undefined) said.set(run, [...(said.get(run) ?? []), { storage, report }])
      }
    } catch (error) {
      logger.warn(`The reports in ${storage.name} cannot be looked at: ${asBackupError(error).message}`, {
        error,
      })
    }
  }
  return said
}

async function sayAgain({ keys }: ReconcilerContext, source: string, run: string, said: Said): Promise<Said> {
  const again = said.map(async ({ storage }) => ({
    storage,
    report: await readReport(storage, source, run, keys),
  }))
  return (await Promise.all(again)).flatMap(({ storage, report }) =>
    report === undefined ? [] : [{ storage, report }],
  )
}

/** The report of a run that ended well and could write it nowhere, from what its job returned. */
function resultOf(job: Job | undefined, [begun]: Said): RunReport | undefined {
  if (job?.finishedOn === undefined || begun === undefined) return undefined
  const result = runReportSchema
    .pick({ outcome: true, bytes: true, destinations: true })
    .safeParse(job.returnvalue)
  if (!result.success) return undefined
  return { ...begun.report, ...result.data, finishedAt: new Date(job.finishedOn).toISOString() }
}

const lostByRedis = 'Redis lost the jobs of this run (restarted without its data, or flushed).'

async function closeRun(context: ReconcilerContext, begun: RunReport, reason: string): Promise<void> {
  const { config, queues, storages, logger, clock } = context
  const ended: RunReport = {
    ...begun,
    outcome: 'failed',
    finishedAt: clock().toISOString(),
    code: 'RUN_FAILED',
    reason,
    hint: 'Ask for it again: npm run backup',
  }
  const message = { ...composeMessage(ended) }
  for (const channel of settingsOf(config, begun.source).channels) {
    const id = jobIds.notify(begun.run, begun.generation, `lost-${channel}`)
    await queues.add('notify', id, { v: 1, run: begun.run, source: begun.source, channel, message })
  }
  await keep(context, ended, storages)
  logger.error(`${begun.run} failed: ${reason}`, { run: begun.run })
}

async function keep(
  { keys, logger }: ReconcilerContext,
  report: RunReport,
  storages: readonly Storage[],
): Promise<void> {
  for (const { storage, why } of await writeReport(storages, report, keys)) {
    logger.warn(`The report of ${report.run} was not written to ${storage.name}: ${why}`, { run: report.run })
  }
}
