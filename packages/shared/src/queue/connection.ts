import type { RedisAddress } from '@securyflex/shared/config'
import { BackupError, describe, redact, systemCode } from '@securyflex/shared/errors'
import { Redis } from 'ioredis'
import { firstWords, speaksTls } from './first-words.ts'
import { redisTarget } from './target.ts'
import { redisTrouble, wrongScheme } from './trouble.ts'

/** How long a command line waits for Redis before it says that it is not there, in ms. */
const connectTimeout = 3000

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
  let last: Error | undefined
  redis.on('error', (error) => {
    last = error
  })
  try {
    await answered(redis)
    // A database that is refused would leave us in database 0, without a word.
    if (last !== undefined) throw last
    return redis
  } catch (error) {
    redis.disconnect()
    throw await unreachable(address, last ?? error)
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

/** After so many ms a trouble that is still there, or there again, is told again. */
const tellAgain = 10 * 60_000

/** Hears the errors of long-lived connections and tells of each trouble once in ten minutes, not with every attempt. */
export function hearErrors(address: RedisAddress, tell: (text: string) => void): (error: Error) => void {
  let last = ''
  let told = 0
  return (error) => {
    const known = redisTrouble(error, address)
    const text =
      known === undefined
        ? `Redis at ${address.shown}: ${redact(error.message === '' ? String(error) : error.message)}.`
        : describe(known)
    if (text === last && performance.now() - told < tellAgain) return
    tell(`${text} Waiting for it.`)
    last = text
    told = performance.now()
  }
}

/** Why there is no connection. What only says that it was closed is looked into, which takes a second or two. */
async function unreachable(address: RedisAddress, cause: unknown): Promise<BackupError> {
  const known = redisTrouble(cause, address)
  if (known !== undefined && !isSilent(cause)) return known
  return (isSilent(cause) ? await reasonOfSilence(address, cause) : undefined) ?? silent(address, cause)
}

/** Nothing listens there, or the name leads nowhere: there is nothing to ask. */
const nobody = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EACCES',
  'EHOSTUNREACH',
  'ENETUNREACH',
])

/** Whether the error says no more than that no answer came. */
function isSilent(cause: unknown): boolean {
  const code = systemCode(cause)
  if (code !== undefined) return !nobody.has(code) && /^(?:E[A-Z]+|ERR_SSL_WRONG_VERSION_NUMBER)$/.test(code)
  return cause instanceof Error && /closed|no answer/i.test(cause.message)
}

async function reasonOfSilence(address: RedisAddress, cause: unknown): Promise<BackupError | undefined> {
  const target = redisTarget(address)
  const secure = 'tls' in target
  const [words, other] = await Promise.all([
    firstWords(target, secure),
    secure ? firstWords(target, false) : speaksTls(target),
  ])
  const known = redisTrouble(words, address)
  if (known !== undefined) return known
  return other === undefined || other === false ? undefined : wrongScheme(address, !secure, cause)
}

function silent(address: RedisAddress, cause: unknown): BackupError {
  const why = cause instanceof Error ? cause.message || String(cause) : String(cause)
  return new BackupError('REDIS_UNREACHABLE', `Redis at ${address.shown} does not answer: ${why}.`, {
    hint: 'Start it, or the whole service with: npm start. Without REDIS_URL, npm run backup brings its own.',
    cause,
  })
}
