import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { prefix } from './names.ts'

/** Runs whose report says "running" somewhere, as far as is known. */
const begunKey = `${prefix}:begun`
/** Store → the Redis process for which its reports were looked through, or a look that is under way. */
const lookedKey = `${prefix}:looked`

/** Notes that a run's report is about to say "running": whoever looks for runs that were lost begins here. */
export async function noteBegun(redis: Redis, run: string): Promise<void> {
  await redis.sadd(begunKey, run)
}

/** Notes that every store knows how a run ended. */
export async function forgetBegun(redis: Redis, run: string): Promise<void> {
  await redis.srem(begunKey, run)
}

/** The runs whose report says "running" somewhere. */
export async function begunRuns(redis: Redis): Promise<string[]> {
  return redis.smembers(begunKey)
}

/** Writes that a look is done if it still stands there as begun. KEYS: looks. ARGV: store, look, process. */
const finishLook = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
`

/**
 * Has `look` note the runs whose report at a store says "running", unless that was done for this Redis already. One
 * that was flushed, or started again and may have lost what it heard last, knows too few.
 */
export async function onceForRedis(redis: Redis, store: string, look: () => Promise<void>): Promise<void> {
  const process = /^run_id:(\w+)/m.exec(await redis.info('server'))?.[1] ?? 'unknown'
  if ((await redis.hget(lookedKey, store)) === process) return
  // A Redis that loses its data meanwhile loses this as well: then it is looked through again.
  const token = randomUUID()
  await redis.hset(lookedKey, store, token)
  await look()
  await redis.eval(finishLook, 1, lookedKey, store, token, process)
}
