import { type Config, groupOf, settingsOf } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
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
import {
  begunRuns,
  forgetBegun,
  jobIds,
  markedSources,
  noteBegun,
  onceForRedis,
  prefix,
  type Queues,
  queueName,
  requestAgain,
} from '@securyflex/shared/queue'
import { listSources, parseRunId } from '@securyflex/shared/repository'
import { type Storage, within } from '@securyflex/shared/storage'
import { Job } from 'bullmq'

export interface ReconcilerContext {
  readonly config: Config
  readonly queues: Queues
  readonly storages: readonly Storage[]
  readonly keys: KeyRing
  readonly logger: Logger
  readonly clock: () => Date
}

/** What a store has for saying what it knows of a run, in ms. */
const patience = 10_000
/** Newest reports of a source that are read when a store is looked through: one runs at a time. */
const newestReports = 3
/** Sources that are looked at together then: a distant store takes its time for each answer. */
const together = 20

/**
 * Finds what the queues cannot mend themselves. Everything it does may be done twice. Stores are asked for the reports
 * of runs that Redis knows to have begun, and looked through only for a Redis that may have forgotten some: what a
 * look costs does not grow with the number of sources.
 */
export async function reconcile(context: ReconcilerContext): Promise<void> {
  await releaseParkedRuns(context)
  for (const storage of context.storages) await findForgotten(context, storage)
  const silent = new Set<Storage>()
  for (const run of await begunRuns(context.queues.redis)) await closeIfLost(context, run, silent)
  await makeUpForAgain(context)
}

/** Finds the runs whose report at a store says "running", and of which Redis may know nothing any more. */
async function findForgotten(context: ReconcilerContext, storage: Storage): Promise<void> {
  const { queues, keys } = context
  try {
    await onceForRedis(queues.redis, storage.name, async () => {
      await someTogether(await knownSources(context, storage), async (source) => {
        for await (const { run, report } of findReports(storage, source, keys, newestReports)) {
          if (report?.outcome === 'running') await noteBegun(queues.redis, run)
        }
      })
    })
  } catch (error) {
    cannotBeLookedAt(context, storage, error)
  }
}

/** Does `work` for all, some at a time; what fails ends it. */
async function someTogether<One>(all: readonly One[], work: (one: One) => Promise<void>): Promise<void> {
  const left = [...all]
  const lane = async () => {
    for (let one = left.pop(); one !== undefined; one = left.pop()) {
      await work(one).catch((error: unknown) => {
        left.length = 0
        throw error
      })
    }
  }
  await Promise.all(Array.from({ length: together }, lane))
}

/** Those of the configuration, and the databases of its groups that have had a run. */
async function knownSources({ config }: ReconcilerContext, storage: Storage): Promise<string[]> {
  const own = [...config.sources, ...config.groups].map(({ name }) => name)
  if (config.groups.length === 0) return own
  const members = (await listSources(storage)).filter((name) => groupOf(config, name) !== undefined)
  return [...new Set([...own, ...members])]
}

function cannotBeLookedAt({ logger }: ReconcilerContext, storage: Storage, error: unknown): void {
  // What is not an error of the store is one of Redis, or a mistake.
  if (!(error instanceof BackupError)) throw error
  logger.warn(`The reports in ${storage.name} cannot be looked at: ${error.message}`, { error })
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
interface SaidAt {
  readonly storage: Storage
  readonly report: RunReport
}
type Said = SaidAt[]

/**
 * Closes the report of a run that ended without being able to say so everywhere.
 * @param silent stores that did not answer in this look: each is waited for once, however many runs there are
 */
async function closeIfLost(context: ReconcilerContext, run: string, silent: Set<Storage>): Promise<void> {
  const { queues } = context
  const job = (await queues.get('run').getJob(run)) as Job | undefined
  const ended = job === undefined || (await job.isFailed()) || (await job.isCompleted())
  const source = parseRunId(run)?.source
  if (!ended || source === undefined) return
  // Read now: a run writes its report first and ends then.
  const { said, without } = await ask(context, source, run, silent)
  const known = said.find((one) => !isRunning(one))?.report ?? resultOf(job, said)
  const begun = said.filter(isRunning)
  const lacking = [...begun.map(({ storage }) => storage), ...without]
  const [first] = begun
  let everywhere = silent.size === 0
  if (known !== undefined) everywhere = (await keep(context, known, lacking)) && everywhere
  else if (first !== undefined) {
    const reason = job?.failedReason ?? lostByRedis
    everywhere = (await closeRun(context, first.report, reason, lacking)) && everywhere
  }
  // A store that did not answer, or did not take it, is asked again with the next look.
  if (everywhere) await forgetBegun(queues.redis, run)
}

const isRunning = ({ report }: SaidAt) => report.outcome === 'running'

/** What every store says of a run, and which have no report of it; those that do not answer come to `silent`. */
async function ask(
  context: ReconcilerContext,
  source: string,
  run: string,
  silent: Set<Storage>,
): Promise<{ said: Said; without: Storage[] }> {
  const [said, without]: [Said, Storage[]] = [[], []]
  const asked = context.storages.filter((storage) => !silent.has(storage))
  const answers = asked.map(async (storage) => {
    try {
      const report = await within(patience, storage, (place) => readReport(place, source, run, context.keys))
      if (report === undefined) without.push(storage)
      else said.push({ storage, report })
    } catch (error) {
      cannotBeLookedAt(context, storage, error)
      // A report that is damaged stays so.
      if (asBackupError(error).code.startsWith('STORAGE_')) silent.add(storage)
    }
  })
  await Promise.all(answers)
  return { said, without }
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

/** @returns whether all of these stores know it */
async function closeRun(
  context: ReconcilerContext,
  begun: RunReport,
  reason: string,
  storages: readonly Storage[],
): Promise<boolean> {
  const { config, queues, logger, clock } = context
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
  const everywhere = await keep(context, ended, storages)
  logger.error(`${begun.run} failed: ${reason}`, { run: begun.run })
  return everywhere
}

/** @returns whether all of these stores took it */
async function keep(
  { keys, logger }: ReconcilerContext,
  report: RunReport,
  storages: readonly Storage[],
): Promise<boolean> {
  const problems = await writeReport(storages, report, keys)
  for (const { storage, why } of problems) {
    logger.warn(`The report of ${report.run} was not written to ${storage.name}: ${why}`, { run: report.run })
  }
  return problems.length === 0
}
