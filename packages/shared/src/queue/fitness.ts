import { setTimeout as delay } from 'node:timers/promises'
import type { RedisAddress } from '@securyflex/shared/config'
import { asBackupError, BackupError, describe } from '@securyflex/shared/errors'
import type { Redis } from 'ioredis'
import { connectOrFail } from './connection.ts'
import { prefix } from './names.ts'
import { redisTrouble } from './trouble.ts'

/** Between two tries, in ms. */
const pause = 1000
/** Written to see whether anything can be, and gone by itself after so many ms. */
const [probe, probeLasts] = [`${prefix}:probe`, 10_000]

/**
 * Waits until Redis is there and takes writes, saying what it waits for.
 * @throws REDIS_UNREACHABLE (class `user`) for what waiting does not mend: a wrong address, certificate or password, a
 *   missing right, and a Redis that may drop what it was told to keep
 */
export async function untilUsable(address: RedisAddress, tell: (text: string) => void): Promise<void> {
  for (let said = ''; ;) {
    try {
      await checkUsable(address)
      return
    } catch (error) {
      const known = asBackupError(error)
      if (known.class !== 'transient') throw known
      const text = `${describe(known)} Waiting for it.`
      if (text !== said) tell(text)
      said = text
    }
    await delay(pause)
  }
}

/**
 * Makes sure that Redis can be worked with now.
 * @throws REDIS_UNREACHABLE as {@link untilUsable}, and of class `transient` where waiting may help
 */
export async function checkUsable(address: RedisAddress): Promise<void> {
  const redis = await connectOrFail(address)
  try {
    await refuseEviction(redis, address)
    await redis.set(probe, '1', 'PX', probeLasts)
  } catch (error) {
    throw redisTrouble(error, address) ?? error
  } finally {
    redis.disconnect()
  }
}

/**
 * A Redis that drops keys for want of memory drops jobs, or the locks of running ones, which are then done twice; what
 * is lost is noticed late or never. BullMQ only warns.
 * @throws REDIS_UNREACHABLE if it may
 */
async function refuseEviction(redis: Redis, address: RedisAddress): Promise<void> {
  const policy = await evictionPolicy(redis)
  if (policy === undefined) return
  throw new BackupError(
    'REDIS_UNREACHABLE',
    `Redis at ${address.shown} may drop jobs when it is full: its maxmemory-policy is ${policy}.`,
    {
      hint: 'Type: redis-cli CONFIG SET maxmemory-policy noeviction (and write it into its redis.conf).',
      class: 'user',
    },
  )
}

/** By what rule Redis drops keys when it is full; undefined if it drops none, or has no limit to reach. */
export async function evictionPolicy(redis: Redis): Promise<string | undefined> {
  const told = await redis.info('memory')
  const policy = /^maxmemory_policy:(\S+)/m.exec(told)?.[1] ?? 'noeviction'
  const limit = /^maxmemory:(\d+)/m.exec(told)?.[1] ?? '0'
  return policy === 'noeviction' || limit === '0' ? undefined : policy
}
