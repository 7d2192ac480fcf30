import type { Step } from '@securyflex/shared/config'
import { asBackupError, type BackupError, redact } from '@securyflex/shared/errors'
import type { Logger } from '@securyflex/shared/logging'
import {
  isCancelled,
  parsePayload,
  type Payloads,
  redisTrouble,
  type Results,
  type Skipped,
} from '@securyflex/shared/queue'
import {
  DelayedError,
  type Job,
  type Processor,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
} from 'bullmq'
import type { WorkerContext } from './context.ts'
import { failureText } from './failure.ts'

/** One execution of a step. */
export interface StepCall<S extends Step> extends WorkerContext {
  readonly job: Job
  readonly payload: Payloads[S]
  /** Aborts on cancel, on shutdown, and when another worker may have taken the job. */
  readonly signal: AbortSignal
}

/** A step: does its part of a run and says what it did. Steps that run twice do no harm. */
export interface StepDefinition<S extends keyof Results> {
  readonly step: S
  readonly work: (call: StepCall<S>) => Promise<Results[S]>
  /** Done for a cancelled run too: it is told like any other. */
  readonly evenIfCancelled?: boolean
  /** Called once the step will not be tried again. */
  readonly gaveUp?: (call: StepCall<S>, error: BackupError) => Promise<void>
}

/** Says in a step's log what does not end it. */
export function warner({
  logger,
}: Pick<WorkerContext, 'logger'>): (text: string, error: BackupError) => void {
  return (text, error) => {
    logger.warn(text, { error })
  }
}

/** Why a running step was told to stop. */
export type StopReason = 'cancelled' | 'shutdown' | 'lock lost'

/**
 * BullMQ's processor for a step, with the context of its time: checks the payload, ends cancelled work, decides on
 * retries, redacts.
 */
export function processorOf<S extends keyof Results>(
  current: () => WorkerContext,
  { step, work, gaveUp, evenIfCancelled = false }: StepDefinition<S>,
): Processor {
  return async (job, token, signal) => {
    const context = current()
    const payload = parseOrGiveUp(step, job)
    // A scrub belongs to no run.
    const { run } = payload as { run?: string }
    const logger = context.logger.child(run === undefined ? { step } : { run, step })
    const call: StepCall<S> = {
      ...context,
      logger,
      job,
      payload,
      signal: signal ?? new AbortController().signal,
    }
    const isOver = async () =>
      !evenIfCancelled && run !== undefined && (await isCancelled(context.queues.redis, run))
    try {
      if (await isOver()) return cancelled
      if (run !== undefined) await context.spool.run(run).touch(context.clock())
      await context.passed(`${step}:begun`)
      const result = await work(call)
      await context.passed(`${step}:done`)
      return result
    } catch (thrown) {
      const reason = signal?.aborted === true ? (signal.reason as StopReason) : undefined
      // The message may have been lost; what fails in a cancelled run is not worth another try.
      if (await isOver()) return cancelled
      if (reason === 'shutdown') return giveBack(job, token)
      // Another worker has the job now: it judges, and this execution leaves no mark.
      if (reason === 'lock lost') throw new Error('Another worker took this job over.')
      const refusal = redisTrouble(thrown)
      if (refusal?.class === 'transient') return comeBack(call, token, refusal)
      throw await judge(call, thrown, gaveUp)
    }
  }
}

const cancelled: Skipped = { skipped: 'cancelled' }

function parseOrGiveUp<S extends keyof Results>(step: S, job: Job): Payloads[S] {
  try {
    return parsePayload(step, job.data)
  } catch (error) {
    throw new UnrecoverableError(failureText(asBackupError(error)))
  }
}

/** Hands a job back for another worker, at no attempt's cost. */
export async function giveBack(job: Job, token: string | undefined): Promise<never> {
  await job.moveToWait(token)
  throw new WaitingError()
}

/**
 * Redis is full, say, and did not take what the step had to tell: the step has done nothing wrong, and is done again
 * after the retry delay, at no attempt's cost. If Redis does not even take that, the job's lock runs out.
 */
async function comeBack<S extends Step>(
  { job, logger, config, clock }: StepCall<S>,
  token: string | undefined,
  refusal: BackupError,
): Promise<never> {
  logger.warn(`${refusal.message} The step is done again.`, { error: refusal })
  await job.moveToDelayed(clock().getTime() + config.worker.retryDelay, token)
  throw new DelayedError()
}

async function judge<S extends keyof Results>(
  call: StepCall<S>,
  thrown: unknown,
  gaveUp: StepDefinition<S>['gaveUp'],
): Promise<Error> {
  if (thrown instanceof WaitingChildrenError || thrown instanceof WaitingError) return thrown
  const error = asBackupError(thrown)
  const attempt = call.job.attemptsMade + 1
  const final = error.class !== 'transient' || attempt >= (call.job.opts.attempts ?? 1)
  logFailure(call.logger, error, final, attempt)
  if (final) await gaveUp?.(call, error)
  return forQueue(error, final)
}

function logFailure(logger: Logger, error: BackupError, final: boolean, attempt: number): void {
  if (final) logger.error(error.message, { error })
  else logger.warn(`${error.message} It is tried again (attempt ${String(attempt)} failed).`, { error })
}

/** The error as queue and board keep it: redacted, with its code, and without a stack beyond the first lines. */
function forQueue(error: BackupError, final: boolean): Error {
  const text = redact(failureText(error))
  const shown = final ? new UnrecoverableError(text) : new Error(text)
  shown.stack = redact(`${text}\n${(error.stack ?? '').split('\n').slice(1, 6).join('\n')}`)
  return shown
}
