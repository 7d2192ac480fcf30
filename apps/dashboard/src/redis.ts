import type { RedisAddress } from '@securyflex/shared/config'
import type { Logger } from '@securyflex/shared/logging'
import { asBackupError, type BackupError, describe } from '@securyflex/shared/errors'
import { connectOrFail, redisTarget } from '@securyflex/shared/queue'
import { Redis } from 'ioredis'

/** How long a page waits for an answer, in ms. */
const commandTimeout = 4000
/** The longest pause between two attempts to connect, in ms. */
const longestPause = 2000
/** How long the health check waits, in ms. */
const healthTimeout = 2000

/** The connection of the pages. */
export interface RequestRedis {
  readonly redis: Redis
  /** Why there is none at the moment, as far as it is known. */
  readonly trouble: () => BackupError | undefined
}

/**
 * A connection for requests of people: while Redis is down every command fails at once and none is kept for
 * later, so that a click made during an outage does nothing an hour after it. It reconnects by itself.
 */
export function connectForRequests(address: RedisAddress, logger: Logger): RequestRedis {
  const redis = new Redis({
    ...redisTarget(address),
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout,
    retryStrategy: (attempt) => Math.min(attempt * 100, longestPause),
  })
  return { redis, trouble: sayOnce(redis, address, logger) }
}

/** One line when Redis goes, one when it comes, whatever the number of attempts between. Returns what is wrong now. */
function sayOnce(redis: Redis, address: RedisAddress, logger: Logger): RequestRedis['trouble'] {
  let down = false
  let trouble: BackupError | undefined
  const look = async () => {
    const found = await reasonOf(address)
    if (!down) return
    trouble = found
    if (found !== undefined) logger.warn(`${describe(found)} Pages say so until it answers.`)
  }
  redis.on('error', () => {
    if (!down) void look()
    down = true
  })
  redis.on('ready', () => {
    if (down) logger.info(`Redis at ${address.shown} answers again.`)
    down = false
    trouble = undefined
  })
  return () => trouble
}

/** Why a connection fails, from one more try that takes the time to find out; undefined if that one does not. */
async function reasonOf(address: RedisAddress): Promise<BackupError | undefined> {
  try {
    const redis = await connectOrFail(address)
    redis.disconnect()
    return undefined
  } catch (error) {
    return asBackupError(error)
  }
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
