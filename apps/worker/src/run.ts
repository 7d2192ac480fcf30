import { findGroup, requireSource, settingsOf } from '@securyflex/shared/config'
import { asBackupError, describe, redact } from '@securyflex/shared/errors'
import { type RunReport, writeReport } from '@securyflex/shared/history'
import { composeMessage } from '@securyflex/shared/notify'
import { isPartial } from '@securyflex/shared/postgres'
import {
  addChild,
  countOverlaps,
  type DumpResult,
  forgetBegun,
  forgetCancel,
  jobIds,
  noteBegun,
  type Payloads,
  reclaimSource,
  redisTrouble,
  type RunOptions,
} from '@securyflex/shared/queue'
import { layout, longestRun } from '@securyflex/shared/repository'
import { type Storage, within } from '@securyflex/shared/storage'
import { DelayedError, type Job, UnrecoverableError, WaitingChildrenError } from 'bullmq'
import { takePlace } from './claim.ts'
import { storageOf, type WorkerContext } from './context.ts'
import { type Failure, failureText } from './failure.ts'
import { nameDatabase } from './run-database.ts'
import { gatherFacts } from './run-facts.ts'
import { type GroupResult, runGroup } from './run-group.ts'
import { decide, type Judgement, type NextAction, type RunFacts } from './run-plan.ts'
import { beginReport, endReport, type ReportInput } from './run-report.ts'
import { readRequest, refusedReport } from './run-request.ts'
import { giveBack, type StopReason } from './step.ts'

type Plan = NonNullable<Payloads['run']['plan']>
type Selected = NonNullable<RunOptions['selection']>

/** What a destination has for saying whether it has a backup, in ms. */
const patience = 10_000

/** A run makes some ten decisions; more means that one of them has no effect. */
const mostDecisions = 100

/** The parent of a backup's jobs: adds children, waits, looks at what came back, adds what is next. */
export async function run(
  context: WorkerContext,
  job: Job,
  token: string,
  signal: AbortSignal,
): Promise<RunResult | GroupResult> {
  try {
    const request = await readOrRefuse(context, job)
    const group = findGroup(context.config, request.source)
    if (group !== undefined) {
      const tell = (content: RunReport) => report(context, content)
      return await runGroup({ context, job, token, signal, group, request, report: tell })
    }
    return await goOn(context, job, token, request, signal)
  } catch (error) {
    throw await comeBackLater(context, job, token, signal, error)
  }
}

async function goOn(
  context: WorkerContext,
  job: Job,
  token: string,
  asked: Payloads['run'],
  signal: AbortSignal,
): Promise<RunResult> {
  const id = job.id ?? ''
  const begun = asked.plan !== undefined && !(await isNewGeneration(context, job))
  await takePlace(context, job, token, asked.source, begun)
  const named = await nameDatabase(context, job, asked, signal)
  const { request } = named
  const plan = request.plan ?? (await settle(context, job, request))
  const refused = named.refused ?? (await refusal(context, job, request, plan))
  await forgiveCancel(context, job)
  for (let decisions = 0; decisions < mostDecisions; decisions++) {
    const input = { run: id, request, plan, generation: job.attemptsMade, overlaps: 0 }
    const facts = await gatherFacts(context, job, plan, refused)
    const next = decide(facts)
    await context.passed(`run:${next.do}`)
    // Another worker may have the run by now: what follows is that one's to do.
    signal.throwIfAborted()
    if (next.do === 'finish') return finish(context, input, facts, next.judgement)
    const told = next.do === 'dump' ? await reportBegin(context, input) : undefined
    await addChildren(context, input, next)
    await context.passed('run:added')
    await told?.everywhere
    // A child may have ended before this run parks: then it is not parked, and looks again.
    if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError()
  }
  throw new UnrecoverableError('The run made no progress. [INTERNAL]')
}

/**
 * A passing trouble of the run itself (Redis or a disk hiccups between two steps) fails no backup: the run looks
 * again after the retry delay, at no attempt's cost, since its attempts count how often it was retried.
 */
async function comeBackLater(
  context: WorkerContext,
  job: Job,
  token: string,
  signal: AbortSignal,
  error: unknown,
): Promise<unknown> {
  const isOrdinary = [WaitingChildrenError, UnrecoverableError, DelayedError].some(
    (kind) => error instanceof kind,
  )
  if (isOrdinary) return error
  if (signal.aborted && signal.reason === ('shutdown' satisfies StopReason)) return giveBack(job, token)
  if (signal.aborted) return new Error('Another worker took this run over.')
  const known = asBackupError(redisTrouble(error) ?? error)
  const now = context.clock().getTime()
  if (known.class !== 'transient' || now - job.timestamp > longestRun) {
    return new UnrecoverableError(failureText(known))
  }
  context.logger.warn(`The run looks again later: ${known.message}`, { run: job.id, error })
  await job.moveToDelayed(now + context.config.worker.retryDelay, token)
  return new DelayedError()
}

/** What a finished run leaves in the queue. */
export interface RunResult {
  readonly outcome: 'success' | 'degraded'
  readonly bytes: number
  readonly destinations: RunReport['destinations']
}

/** A job that asks for nothing that can be done fails, and says so where runs are looked for. */
async function readOrRefuse(context: WorkerContext, job: Job): Promise<Payloads['run']> {
  try {
    return await readRequest(context.queues, job, context.clock())
  } catch (error) {
    const known = asBackupError(error)
    if (known.code !== 'PAYLOAD_INVALID' && known.code !== 'SOURCE_PAUSED') throw error
    const told = refusedReport(job, known, context.clock())
    if (told !== undefined) await report(context, told)
    // One that was to expire would keep the source's other runs away until then.
    await job.removeDeduplicationKey()
    throw new UnrecoverableError(redact(failureText(known)))
  }
}

/** Decides once how this run is made. */
async function settle(context: WorkerContext, job: Job, request: Payloads['run']): Promise<Plan> {
  const { config, clock } = context
  const settings = settingsOf(config, request.source)
  const plan: Plan = {
    startedAt: clock().toISOString(),
    destinations: [...settings.destinations],
    options: {
      compression: request.options.compression ?? settings.compression,
      cipher: request.options.cipher ?? settings.cipher,
      fingerprint: request.options.fingerprint ?? settings.fingerprint,
      retentionDays: request.options.retentionDays ?? settings.retention.days ?? 0,
      ...(isPartial(settings.selection)
        ? { selection: structuredClone(settings.selection) as Selected }
        : {}),
    },
  }
  await job.updateData({ ...request, plan })
  return plan
}

/** Why this run may not begin. */
async function refusal(
  context: WorkerContext,
  job: Job,
  request: Payloads['run'],
  plan: Plan,
): Promise<Failure | undefined> {
  try {
    requireSource(context.config, request.source, request.database)
  } catch (error) {
    // A source that is removed while its run is under way: what was dumped is stored.
    if (await hasDump(context, job)) return undefined
    const known = asBackupError(error)
    return { code: known.code, reason: describe(known) }
  }
  const id = job.id ?? ''
  if ((await isNewGeneration(context, job)) && (await hasManifest(context, request.source, id, plan))) {
    return {
      code: 'RUN_FAILED',
      reason: 'This run stored a backup that did not pass its checks; ask for a new run: npm run backup',
    }
  }
  const holder = job.attemptsMade === 0 ? id : await reclaimSource(context.queues, request.source, id)
  if (holder === id) return undefined
  return { code: 'DATABASE_BUSY', reason: `Another run of ${request.source} is under way: ${holder}.` }
}

/** Whether this generation's dump was asked for. */
async function hasDump({ queues }: Pick<WorkerContext, 'queues'>, job: Job): Promise<boolean> {
  const dump: unknown = await queues.get('dump').getJob(jobIds.dump(job.id ?? '', job.attemptsMade, 1))
  return dump !== undefined
}

/**
 * Whether some destination has a manifest of this run: it is write-once, so the run cannot be made again. One that does
 * not answer is probably left out of the new generation, too; if it is not, it refuses a second manifest.
 */
async function hasManifest(
  context: WorkerContext,
  source: string,
  run: string,
  plan: Plan,
): Promise<boolean> {
  const found = await Promise.all(
    plan.destinations.map(async (name) => {
      try {
        const stat = (storage: Storage) => storage.stat(layout.manifest(source, run))
        return (await within(patience, storageOf(context, name), stat)) !== undefined
      } catch (error) {
        context.logger.warn(`${name} does not say whether it has ${run}: ${asBackupError(error).message}`, {
          run,
          error,
        })
        return false
      }
    }),
  )
  return found.includes(true)
}

/** A retried run is wanted again: what cancelled it before counts no more once its new generation begins. */
async function forgiveCancel(context: WorkerContext, job: Job): Promise<void> {
  if (await isNewGeneration(context, job)) await forgetCancel(context.queues.redis, job.id ?? '')
}

/** Whether this is the first wake after the run was retried: nothing of the new generation exists yet. */
async function isNewGeneration({ queues }: WorkerContext, job: Job): Promise<boolean> {
  const id = job.id ?? ''
  const generation = job.attemptsMade
  if (generation === 0) return false
  const told: unknown = await queues.get('notify').getJob(jobIds.notify(id, generation, 'log'))
  return !(await hasDump({ queues }, job)) && told === undefined
}

async function addChildren(
  { queues, clock }: WorkerContext,
  { run: id, request, plan, generation }: ReportInput,
  next: Exclude<NextAction, { do: 'finish' }>,
): Promise<void> {
  const { source, database, requestedAt } = request
  const { options, destinations } = plan
  const common = { v: 1 as const, run: id, source }
  const { retentionDays } = request.options
  const kept = retentionDays === undefined ? {} : { retentionDays }
  const at = (destination: string, { attempt }: DumpResult) => jobIds.destination(id, attempt, destination)
  switch (next.do) {
    case 'dump':
      return addChild(queues, id, 'dump', jobIds.dump(id, generation, next.number), {
        ...common,
        database,
        options,
        destinations: [...destinations],
      })
    case 'seal':
      for (const destination of next.destinations) {
        const payload = { ...common, destination, requestedAt, options, dump: next.dump, ...kept }
        await addChild(queues, id, 'seal', at(destination, next.dump), payload)
      }
      return
    case 'verify':
      for (const destination of next.destinations) {
        await addChild(queues, id, 'verify', at(destination, next.dump), { ...common, destination, ...kept })
      }
      return
    case 'prune':
      for (const destination of next.destinations) {
        await addChild(queues, id, 'prune', at(destination, next.dump), { ...common, destination, ...kept })
      }
      return
    case 'notify': {
      const input = { run: id, request, plan, generation, overlaps: await countOverlaps(queues, id) }
      const message = { ...composeMessage(endReport(input, next.judgement, clock())) }
      for (const channel of next.channels as ('log' | 'webhook')[]) {
        await addChild(queues, id, 'notify', jobIds.notify(id, generation, channel), {
          ...common,
          channel,
          message,
        })
      }
    }
  }
}

/** Writes the report, gives back the spool's room, and ends the job as what the run was. */
async function finish(
  context: WorkerContext,
  begun: ReportInput,
  facts: RunFacts,
  judgement: Judgement,
): Promise<RunResult> {
  const { queues, spool, clock } = context
  const input = { ...begun, overlaps: await countOverlaps(queues, begun.run) }
  const notifications = facts.channels.map(({ channel, notify }) => {
    const delivered = notify?.value !== undefined && 'delivered' in notify.value
    return { channel, delivered, ...(notify?.failure === undefined ? {} : { reason: notify.failure.reason }) }
  })
  const ended = { ...endReport(input, judgement, clock()), notifications }
  await report(context, ended)
  await askForCopies(context, input, judgement)
  await spool.run(begun.run).remove()
  if (judgement.outcome === 'failed' || judgement.outcome === 'cancelled') throw failed(judgement)
  return { outcome: judgement.outcome, bytes: ended.bytes ?? 0, destinations: ended.destinations }
}

/** A destination that took this backup may lack earlier ones: they are brought to it now, and no run waits for that. */
async function askForCopies(
  { queues }: WorkerContext,
  { run: id, request, plan }: ReportInput,
  { standings, dump }: Judgement,
): Promise<void> {
  if (plan.destinations.length === 1 || dump === undefined) return
  for (const { destination, verified } of standings) {
    if (verified === undefined) continue
    const payload = { v: 1 as const, run: id, source: request.source, destination }
    await queues.add('copy', jobIds.destination(id, dump.attempt, destination), payload)
  }
}

function failed({ failure }: Judgement): UnrecoverableError {
  const text = redact(`${failure?.reason ?? 'unknown'} [${failure?.code ?? 'INTERNAL'}]`)
  const error = new UnrecoverableError(text)
  error.stack = text
  return error
}

/** Tells that a run begins. What follows waits for the first store that has it, and parking for the last. */
async function reportBegin(
  context: WorkerContext,
  input: ReportInput,
): Promise<{ everywhere: Promise<void> }> {
  const { promise: somewhere, resolve: taken } = Promise.withResolvers<undefined>()
  const everywhere = report(context, beginReport(input), () => {
    taken(undefined)
  })
  // Heard by whoever awaits it; until then it must not count as unheard.
  everywhere.catch(() => undefined)
  await Promise.race([somewhere, everywhere])
  return { everywhere }
}

/** Writes a report to every store; one that does not take it is logged, for the others have it. */
async function report(context: WorkerContext, content: RunReport, taken?: () => void): Promise<void> {
  const storages = context.config.destinations.map(({ name }) => storageOf(context, name))
  const { redis } = context.queues
  if (content.outcome === 'running') await noteBegun(redis, content.run)
  const problems = await writeReport(storages, content, context.keys, taken)
  for (const { storage, why } of problems) {
    context.logger.warn(`The report of ${content.run} was not written to ${storage.name}: ${why}`, {
      run: content.run,
    })
  }
  // Otherwise the reconciler writes it where it is missing.
  if (content.outcome !== 'running' && problems.length === 0) await forgetBegun(redis, content.run)
}
