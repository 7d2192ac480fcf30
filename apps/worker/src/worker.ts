import { setTimeout as delay } from 'node:timers/promises'
import { type Config, type Step, steps } from '@securyflex/shared/config'
import type { Logger } from '@securyflex/shared/logging'
import {
  connectPatiently,
  hearErrors,
  onCancel,
  queueName,
  Queues,
  redisTarget,
  redisTrouble,
  type Results,
  untilUsable,
} from '@securyflex/shared/queue'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import { compressStep } from './compress.ts'
import { copyStep } from './copy.ts'
import { contextFor, openContext, type WorkerContext, type WorkerOptions } from './context.ts'
import { dumpStep } from './dump.ts'
import { encryptStep } from './encrypt.ts'
import { startHousekeeping } from './housekeeping.ts'
import { hurry } from './hurry.ts'
import { notifyStep } from './notify.ts'
import { pruneStep } from './prune.ts'
import { run } from './run.ts'
import { schedule } from './schedule.ts'
import { scrubStep } from './scrub.ts'
import { sealStep } from './seal.ts'
import { serve, type Served, type Serving, shutDown, stopJobs } from './serve.ts'
import { processorOf, type StepDefinition } from './step.ts'
import { claimSpool } from './spool-claim.ts'
import { uploadStep } from './upload.ts'
import { verifyStep } from './verify.ts'

/** How long closing the queues may take, in ms. */
const closingTime = 2000

/** A worker process's workers, one a queue. */
export interface RunningWorker extends AsyncDisposable {
  /** Stops taking jobs, lets short ones end, hands the rest back, and closes everything. */
  close(): Promise<void>
  /**
   * Takes a changed configuration: what begins from now on follows it, what is under way goes on as it began.
   * @throws STORAGE_REFUSED, STORAGE_FULL; then the old one holds
   */
  reload(config: Config): Promise<void>
  /** Resolves, if ever, with why this worker must not go on: SPOOL_UNUSABLE. It still is to be closed. */
  readonly lost: Promise<BackupError>
}

/**
 * Starts serving every step, once Redis takes writes. Connections to Redis are kept through its absence.
 * @throws SPOOL_UNUSABLE, STORAGE_REFUSED, STORAGE_FULL; REDIS_UNREACHABLE for what waiting does not mend
 */
export async function startWorker(
  config: Config,
  logger: Logger,
  options: WorkerOptions = {},
): Promise<RunningWorker> {
  const { redis: address } = config
  if (address === undefined) {
    throw new BackupError('CONFIG_INVALID', 'There is no Redis to take jobs from.', {
      hint: 'Set for example REDIS_URL=redis://127.0.0.1:6379, or use npm start, which brings its own.',
    })
  }
  await untilUsable(address, (text) => {
    logger.warn(text)
  })
  const redis = connectPatiently(address)
  const heard = hearErrors(address, (text) => {
    logger.warn(text)
  })
  redis.on('error', heard)
  const subscriber = redis.duplicate()
  subscriber.on('error', heard)
  const queues = new Queues(redis, config.worker.retryDelay)
  const disconnect = () => {
    subscriber.disconnect()
    redis.disconnect()
  }
  try {
    let context = await openContext(config, queues, logger, options)
    // Queues that are opened while Redis is away stay dead when it is back: the first answer is awaited.
    await redis.ping()
    await limitUploads(queues, config)
    const lost = Promise.withResolvers<BackupError>()
    const releaseSpool = await claimSpool(redis, context.spool, lost.resolve)
    const serving = { target: redisTarget(address), heard }
    const current = () => context
    const workers = serveAll(current, serving)
    const stopHousekeeping = startHousekeeping(context)
    await onCancel(subscriber, (cancelled) => {
      stopJobs(workers, 'cancelled', cancelled)
      const names = workers.map(({ worker }) => worker.name)
      hurry(queues, names, cancelled).catch((error: unknown) => {
        logger.warn(`A step of ${cancelled} ends later: ${asBackupError(error).message}`, { error })
      })
    })
    const { steps: served } = config.worker
    const what = served.length === steps.length ? 'all steps' : `${served.join(', ')} and no other step`
    logger.info(`Serving ${what}.`, { spool: context.spool.id, redis: address.shown })
    const close = async () => {
      stopHousekeeping()
      releaseSpool()
      await shutDown(workers)
      // Without Redis this would wait for it; what is closed here has nothing left to say.
      await Promise.race([queues.close(), delay(closingTime, undefined, { ref: false })])
      disconnect()
    }
    const reload = async (changed: Config) => {
      context = await contextFor(changed, context)
      await limitUploads(queues, changed)
      const served = new Set(workers.map(({ worker }) => worker.name))
      const fresh = config.worker.steps.includes('upload')
        ? changed.destinations.filter(({ name }) => !served.has(queueName('upload', name)))
        : []
      workers.push(...fresh.map(({ name }) => serveUpload(current, serving, name)))
    }
    return { close, reload, lost: lost.promise, [Symbol.asyncDispose]: close }
  } catch (error) {
    disconnect()
    throw redisTrouble(error, address) ?? error
  }
}

/** The queues of the steps that this worker serves, each destination's upload queue among them. */
function serveAll(current: () => WorkerContext, serving: Serving): Served[] {
  const one = <S extends keyof Results>(definition: StepDefinition<S>) =>
    serve(current, serving, definition.step, processorOf(current, definition))
  const uploads = () => current().config.destinations.map(({ name }) => serveUpload(current, serving, name))
  const every: Record<Step, () => Served | Served[]> = {
    schedule: () => serve(current, serving, 'schedule', (job) => schedule(current(), job)),
    run: () =>
      serve(current, serving, 'run', (job, token, signal) =>
        run(current(), job, token ?? '', signal ?? new AbortController().signal),
      ),
    dump: () => one(dumpStep),
    compress: () => one(compressStep),
    encrypt: () => one(encryptStep),
    upload: uploads,
    seal: () => one(sealStep),
    verify: () => one(verifyStep),
    prune: () => one(pruneStep),
    notify: () => one(notifyStep),
    copy: () => one(copyStep),
    scrub: () => one(scrubStep),
  }
  return current().config.worker.steps.flatMap((step) => every[step]())
}

/** How many batches all workers together store at a destination; without a limit each worker has its own. */
async function limitUploads(queues: Queues, { destinations }: Config): Promise<void> {
  for (const { name, uploads } of destinations) {
    const queue = queues.get('upload', name)
    await (uploads === undefined ? queue.removeGlobalConcurrency() : queue.setGlobalConcurrency(uploads))
  }
}

function serveUpload(current: () => WorkerContext, serving: Serving, destination: string): Served {
  return serve(current, serving, 'upload', processorOf(current, uploadStep), destination)
}
