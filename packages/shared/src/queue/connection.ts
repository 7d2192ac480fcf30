import { isIP } from 'node:net'
import type { RedisAddress } from '@securyflex/shared/config'
import { BackupError, redact } from '@securyflex/shared/errors'
import { Redis } from 'ioredis'

/** How long a command line waits for Redis before it says that it is not there, in ms. */
const connectTimeout = 3000

/** Where and as whom to connect, as ioredis and BullMQ take it. */
export type RedisTarget =
  | { readonly path: string }
  | {
      readonly host: string
      readonly port: number
      readonly username?: string
      readonly password?: string
      readonly db?: number
      readonly tls?: { readonly servername?: string }
    }

/** The target of an address; `unix:///path` is a socket. */
export function redisTarget(address: RedisAddress): RedisTarget {
  const url = new URL(address.url.reveal())
  if (url.protocol === 'unix:') return { path: decodeURIComponent(url.pathname) }
  const database = url.pathname.replace(/^\//, '')
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return {
    host,
    port: url.port === '' ? 6379 : Number(url.port),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(database === '' ? {} : { db: Number(database) }),
    ...(url.protocol === 'rediss:' ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {}),
  }
}

/**
 * A connection that fails at once while Redis is down, for commands and requests.
 * @throws REDIS_UNREACHABLE
 */
export async function connectOrFail(address: RedisAddress): Promise<Redis> {
  const redis = new Redis({
    ...redisTarget(address),
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout,
    // A peer that does not answer does not hang up either; a command need not wait for that.
    disconnectTimeout: 100,
    retryStrategy: () => null,
  })
  let last: unknown
  redis.on('error', (error) => {
    last = error
  })
  try {
    await answered(redis)
    return redis
  } catch (error) {
    redis.disconnect()
    throw unreachable(address, last ?? error)
  }
}

/** A peer that accepts and says nothing is no Redis: ioredis would wait for it without end. */
async function answered(redis: Redis): Promise<void> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    late.reject(new Error(`no answer within ${connectTimeout / 1000} seconds`))
  }, connectTimeout)
  try {
    await Promise.race([redis.connect().then(() => redis.ping()), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** A connection for long-lived processes: it waits for Redis to come back. */
export function connectPatiently(address: RedisAddress): Redis {
  return new Redis({ ...redisTarget(address), maxRetriesPerRequest: null })
}

/** Hears the errors of long-lived connections and tells of each trouble once, not with every attempt. */
export function hearErrors(address: RedisAddress, tell: (text: string) => void): (error: Error) => void {
  let last = ''
  return (error) => {
    const text = redact(error.message === '' ? String(error) : error.message)
    if (text !== last) tell(`Redis at ${address.shown}: ${text}. Waiting for it.`)
    last = text
  }
}

function unreachable(address: RedisAddress, cause: unknown): BackupError {
  const why = cause instanceof Error ? cause.message || String(cause) : String(cause)
  if (/^(NOAUTH|WRONGPASS|NOPERM)/.test(why)) {
    return new BackupError('REDIS_UNREACHABLE', `Redis at ${address.shown} refuses this user: ${why}`, {
      hint: 'Put its password into REDIS_URL, for example redis://:password@host:6379.',
      class: 'user',
      cause,
    })
  }
  return new BackupError('REDIS_UNREACHABLE', `Redis at ${address.shown} does not answer: ${why}.`, {
    hint: 'Start it, or the whole service with: npm start. Without REDIS_URL, npm run backup brings its own.',
    cause,
  })
}
