import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '@securyflex/shared/config'
import { BackupError, describe } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import type { Logger } from '@securyflex/shared/logging'
import {
  connectPatiently,
  evictionPolicy,
  hearErrors,
  Queues,
  redisTrouble,
  untilUsable,
} from '@securyflex/shared/queue'
import { openStorage } from '@securyflex/shared/storage'
import { reconcile, type ReconcilerContext } from './reconciler.ts'
import { applySchedules, ScheduleKeeper } from './schedules.ts'
import { serveTriggers } from './triggers.ts'

/** How often a producer looks after schedules and runs, in ms. */
const defaultInterval = 60_000

/** How long a look that is under way may take when the producer is to end, in ms. */
const gracePeriod = 3000

/** For tests. */
export interface ProducerOptions {
  readonly clock?: () => Date
  /** Between two looks, in ms; default: a minute. */
  readonly interval?: number
  /** ms after which what another producer took from a stream and did not finish is taken over; default: 30 s */
  readonly takeOverAfter?: number
}

export interface RunningProducer extends AsyncDisposable {
  close(): Promise<void>
  /** Brings the schedules in line with a changed configuration. @throws STORAGE_REFUSED, STORAGE_FULL; then the old one holds */
  reload(config: Config): Promise<void>
}

/**
 * Brings the schedules in line with the configuration once Redis takes writes, then watches over what the queues
 * cannot mend. Schedules are kept in Redis and fire without it.
 * @throws STORAGE_REFUSED, STORAGE_FULL; REDIS_UNREACHABLE for what waiting does not mend
 */
export async function startProducer(
  config: Config,
  logger: Logger,
  { clock = () => new Date(), interval = defaultInterval, takeOverAfter }: ProducerOptions = {},
): Promise<RunningProducer> {
  if (config.redis === undefined) {
    throw new BackupError('CONFIG_INVALID', 'There is no Redis to put jobs into.', {
      hint: 'Set for example REDIS_URL=redis://127.0.0.1:6379, or use npm start, which brings its own.',
    })
  }
  await untilUsable(config.redis, (text) => {
    logger.warn(text)
  })
  const redis = connectPatiently(config.redis)
  redis.on(
    'error',
    hearErrors(config.redis, (text) => {
      logger.warn(text)
    }),
  )
  const queues = new Queues(redis, config.worker.retryDelay)
  const context: ReconcilerContext = {
    ...(await opened(config)),
    queues,
    logger,
    clock,
  }
  try {
    await redis.ping()
    await applySchedules(config, queues, logger, clock(), context.storages)
  } catch (error) {
    redis.disconnect()
    throw redisTrouble(error, config.redis) ?? error
  }
  const watching = watch(context, interval)
  let current = config
  const triggers = serveTriggers({
    config: () => current,
    ...{ queues, logger, clock },
    ...(takeOverAfter === undefined ? {} : { takeOverAfter }),
  })
  const close = async () => {
    // What waits for a Redis that does not answer would wait for ever.
    const patience = redis.status === 'ready' ? delay(gracePeriod, undefined, { ref: false }) : undefined
    await Promise.race([Promise.all([watching.stop(), triggers.stop()]).then(() => queues.close()), patience])
    redis.disconnect()
  }
  const reload = async (changed: Config) => {
    const parts = await opened(changed)
    await watching.between(async () => {
      await applySchedules(changed, queues, logger, clock(), parts.storages)
      current = changed
      return { ...context, ...parts }
    })
  }
  return { close, reload, [Symbol.asyncDispose]: close }
}

/** What follows from the configuration. */
async function opened(config: Config): Promise<Pick<ReconcilerContext, 'config' | 'storages' | 'keys'>> {
  const storages = await Promise.all(config.destinations.map((one) => openStorage(one)))
  return { config, storages, keys: new KeyRing(config.keys) }
}

interface Watching {
  /** Does `work` between two looks; the next one is with the context that it gives. */
  readonly between: (work: () => Promise<ReconcilerContext>) => Promise<void>
  readonly stop: () => Promise<void>
}

function watch(first: ReconcilerContext, interval: number): Watching {
  let context = first
  const { queues, logger, clock } = first
  const keeper = new ScheduleKeeper()
  let underway = Promise.resolve()
  let policySaid: string | undefined
  const warnOfEviction = async () => {
    const policy = await evictionPolicy(queues.redis)
    if (policy !== undefined && policy !== policySaid) {
      logger.error(
        `Redis may drop jobs when it is full: its maxmemory-policy is ${policy}. Type: redis-cli CONFIG SET maxmemory-policy noeviction`,
      )
    }
    policySaid = policy
  }
  const lookAfter = async (what: string, work: () => Promise<void>) => {
    await work().catch((thrown: unknown) => {
      const error = redisTrouble(thrown, context.config.redis) ?? thrown
      logger.warn(`The ${what} could not be looked after: ${describe(error)}`, { error })
    })
  }
  const look = () => {
    underway = underway
      .then(() => lookAfter('schedules', () => keeper.look(context.config, queues, logger, clock())))
      .then(() => lookAfter('runs', () => reconcile(context)))
      .then(() => lookAfter('memory of Redis', warnOfEviction))
  }
  look()
  const timer = setInterval(look, interval)
  return {
    between: async (work) => {
      const done = underway.then(work)
      underway = done.then((next) => void (context = next)).catch(() => undefined)
      await done
    },
    stop: async () => {
      clearInterval(timer)
      await underway
    },
  }
}
