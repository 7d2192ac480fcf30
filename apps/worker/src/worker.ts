import type { Config, Step } from '@securyflex/shared/config'
import type { Logger } from '@securyflex/shared/logging'
import {
  connectPatiently,
  onCancel,
  type Payloads,
  prefix,
  Queues,
  queueName,
  redisTarget,
  type Results,
} from '@securyflex/shared/queue'
import { BackupError, redact } from '@securyflex/shared/errors'
import { type Processor, Worker } from 'bullmq'
import { compressStep } from './compress.ts'
import { openContext, type WorkerContext } from './context.ts'
import { dumpStep } from './dump.ts'
import { encryptStep } from './encrypt.ts'
import { startHousekeeping } from './housekeeping.ts'
import { notifyStep } from './notify.ts'
import { pruneStep } from './prune.ts'
import { resumeRun } from './resume.ts'
import { run } from './run.ts'
import { schedule } from './schedule.ts'
import { sealStep } from './seal.ts'
import { processorOf, type StepDefinition, type StopReason } from './step.ts'
import { uploadStep } from './upload.ts'
import { verifyStep } from './verify.ts'

/** A crash of its worker costs a job no attempt; only this many in a row fail it. */
const maxStalledCount = 3
/** How long running jobs may go on after a shutdown was asked for, in ms. */
const gracePeriod = 10_000

/** A worker process's workers, one a queue. */
export interface RunningWorker extends AsyncDisposable {
  /** Stops taking jobs, lets short ones end, hands the rest back, and closes everything. */
  close(): Promise<void>
}

/**
 * Starts serving every step. Connections to Redis are kept through its absence.
 * @throws SPOOL_UNUSABLE, STORAGE_REFUSED, STORAGE_FULL
 */
export async function startWorker(
  config: Config,
  logger: Logger,
  clock: () => Date = () => new Date(),
): Promise<RunningWorker> {
  const { redis: address } = config
  if (address === undefined) {
    throw new BackupError('CONFIG_INVALID', 'There is no Redis to take jobs from.', {
      hint: 'Set for example REDIS_URL=redis://127.0.0.1:6379, or use npm start, which brings its own.',
    })
  }
  const redis = connectPatiently(address)
  const heard = hearErrors(logger, address.shown)
  redis.on('error', heard)
  const subscriber = redis.duplicate()
  subscriber.on('error', heard)
  const queues = new Queues(redis, config.worker.retryDelay)
  const context = await openContext(config, queues, logger, clock).catch(async (error: unknown) => {
    redis.disconnect()
    subscriber.disconnect()
    throw error
  })
  const workers = startWorkers(context, redisTarget(address), heard)
  const stopHousekeeping = startHousekeeping(context)
  void onCancel(subscriber, (cancelled) => {
    stopJobs(workers, (job) => job.run === cancelled, 'cancelled')
  })
  logger.info('Serving all steps.', { spool: context.spool.id, redis: address.shown })

  const close = async () => {
    stopHousekeeping()
    await shutDown(workers)
    await queues.close()
    subscriber.disconnect()
    redis.disconnect()
  }
  return { close, [Symbol.asyncDispose]: close }
}

/** A BullMQ worker and the jobs that it is doing. */
interface Served {
  readonly worker: Worker
  readonly active: Map<string, { readonly run: string | undefined }>
}

function startWorkers(
  context: WorkerContext,
  target: ReturnType<typeof redisTarget>,
  heard: (error: Error) => void,
): Served[] {
  const serve = (step: Step, processor: Processor, destination?: string): Served => {
    const { concurrency, lockDuration, stalledInterval } = context.config.worker
    const active: Served['active'] = new Map()
    const noted: Processor = async (job, token, signal) => {
      active.set(job.id ?? '', { run: (job.data as Partial<Payloads['dump']>).run })
      try {
        return await processor(job, token, signal)
      } finally {
        active.delete(job.id ?? '')
      }
    }
    // BullMQ hands a signal only to processors that declare it.
    const worker = new Worker(queueName(step, destination), async (job, token, signal) => noted(job, token, signal), {
      connection: { ...target, maxRetriesPerRequest: null },
      prefix,
      concurrency: concurrency[step],
      lockDuration,
      stalledInterval,
      maxStalledCount,
    })
    worker.on('error', heard)
    worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) worker.cancelJob(id, 'lock lost' satisfies StopReason)
    })
    worker.on('completed', (job) => {
      void resumeRun(context, job)
    })
    return { worker, active }
  }
  const step = <S extends keyof Results>(definition: StepDefinition<S>, destination?: string) =>
    serve(definition.step, processorOf(context, definition), destination)

  return [
    serve('schedule', (job) => schedule(context, job)),
    serve('run', (job, token) => run(context, job, token ?? '')),
    step(dumpStep),
    step(compressStep),
    step(encryptStep),
    ...context.config.destinations.map(({ name }) => step(uploadStep, name)),
    step(sealStep),
    step(verifyStep),
    step(pruneStep),
    step(notifyStep),
  ]
}

function stopJobs(
  served: readonly Served[],
  concerns: (job: { readonly run: string | undefined }) => boolean,
  reason: StopReason,
): void {
  for (const { worker, active } of served) {
    for (const [id, job] of active) {
      if (concerns(job)) worker.cancelJob(id, reason)
    }
  }
}

async function shutDown(served: readonly Served[]): Promise<void> {
  const timer = setTimeout(() => {
    stopJobs(served, () => true, 'shutdown')
  }, gracePeriod)
  await Promise.all(served.map(({ worker }) => worker.close()))
  clearTimeout(timer)
}

/** Says once that Redis is gone, and once more when it is something else. */
function hearErrors(logger: Logger, shown: string): (error: Error) => void {
  let last = ''
  return (error) => {
    const text = redact(error.message === '' ? String(error) : error.message)
    if (text === last) return
    last = text
    logger.warn(`Redis at ${shown}: ${text}. Waiting for it.`)
  }
}

