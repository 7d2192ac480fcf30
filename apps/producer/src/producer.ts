import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import type { Logger } from '@securyflex/shared/logging'
import { connectPatiently, hearErrors, Queues } from '@securyflex/shared/queue'
import { openStorage } from '@securyflex/shared/storage'
import { reconcile, type ReconcilerContext } from './reconciler.ts'
import { applySchedules, ScheduleKeeper } from './schedules.ts'

/** How often a producer looks after schedules and runs, in ms. */
const defaultInterval = 60_000

/** How long a look that is under way may take when the producer is to end, in ms. */
const gracePeriod = 3000

/** For tests. */
export interface ProducerOptions {
  readonly clock?: () => Date
  /** Between two looks, in ms; default: a minute. */
  readonly interval?: number
}

export interface RunningProducer extends AsyncDisposable {
  close(): Promise<void>
}

/**
 * Brings the schedules in line with the configuration, then watches over what the queues cannot mend.
 * Schedules are kept in Redis and fire without it.
 */
export async function startProducer(
  config: Config,
  logger: Logger,
  { clock = () => new Date(), interval = defaultInterval }: ProducerOptions = {},
): Promise<RunningProducer> {
  if (config.redis === undefined) {
    throw new BackupError('CONFIG_INVALID', 'There is no Redis to put jobs into.', {
      hint: 'Set for example REDIS_URL=redis://127.0.0.1:6379, or use npm start, which brings its own.',
    })
  }
  const storages = await Promise.all(config.destinations.map(openStorage))
  const redis = connectPatiently(config.redis)
  redis.on(
    'error',
    hearErrors(config.redis, (text) => {
      logger.warn(text)
    }),
  )
  const queues = new Queues(redis, config.worker.retryDelay)
  const context: ReconcilerContext = {
    config,
    queues,
    storages,
    keys: new KeyRing(config.keys),
    logger,
    clock,
  }
  try {
    await redis.ping()
    await applySchedules(config, queues, logger, clock())
  } catch (error) {
    redis.disconnect()
    throw error
  }
  const stopWatching = watch(context, interval)
  const close = async () => {
    // What waits for a Redis that does not answer would wait for ever.
    const patience = redis.status === 'ready' ? delay(gracePeriod, undefined, { ref: false }) : undefined
    await Promise.race([stopWatching().then(() => queues.close()), patience])
    redis.disconnect()
  }
  return { close, [Symbol.asyncDispose]: close }
}

function watch(context: ReconcilerContext, interval: number): () => Promise<void> {
  const { config, queues, logger, clock } = context
  const keeper = new ScheduleKeeper()
  let underway = Promise.resolve()
  const lookAfter = async (what: string, work: () => Promise<void>) => {
    await work().catch((error: unknown) => {
      logger.warn(`The ${what} could not be looked after: ${asBackupError(error).message}`, { error })
    })
  }
  const look = () => {
    underway = underway
      .then(() => lookAfter('schedules', () => keeper.look(config, queues, logger, clock())))
      .then(() => lookAfter('runs', () => reconcile(context)))
  }
  look()
  const timer = setInterval(look, interval)
  return async () => {
    clearInterval(timer)
    await underway
  }
}
