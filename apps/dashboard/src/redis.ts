import type { RedisAddress } from '@securyflex/shared/config'
import type { Logger } from '@securyflex/shared/logging'
import { redisTarget } from '@securyflex/shared/queue'
import { Redis } from 'ioredis'

/** How long a page waits for an answer, in ms. */
const commandTimeout = 4000
/** The longest pause between two attempts to connect, in ms. */
const longestPause = 2000
/** How long the health check waits, in ms. */
const healthTimeout = 2000

/**
 * A connection for requests of people: while Redis is down every command fails at once and none is kept for
 * later, so that a click made during an outage does nothing an hour after it. It reconnects by itself.
 */
export function connectForRequests(address: RedisAddress, logger: Logger): Redis {
  const redis = new Redis({
    ...redisTarget(address),
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout,
    retryStrategy: (attempt) => Math.min(attempt * 100, longestPause),
  })
  sayOnce(redis, address, logger)
  return redis
}

/** One line when Redis goes, one when it comes, whatever the number of attempts between. */
function sayOnce(redis: Redis, address: RedisAddress, logger: Logger): void {
  let down = false
  redis.on('error', (error) => {
    if (!down) {
      logger.warn(`Redis at ${address.shown} does not answer (${error.message}); pages say so until it does.`)
    }
    down = true
  })
  redis.on('ready', () => {
    if (down) logger.info(`Redis at ${address.shown} answers again.`)
    down = false
  })
}

/** Whether Redis answers within two seconds. */
export async function answers(redis: Redis): Promise<boolean> {
  if (redis.status !== 'ready') return false
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, healthTimeout, false)
  })
  const pong = redis.ping().then(
    () => true,
    () => false,
  )
  try {
    return await Promise.race([pong, timeout])
  } finally {
    clearTimeout(timer)
  }
}
