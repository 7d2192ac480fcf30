import type { Redis } from 'ioredis'
import { prefix } from './names.ts'

const channel = `${prefix}:cancel`
const flagKey = (run: string) => `${prefix}:cancelled:${run}`
/** Longer than any run, in seconds. */
const keepFlag = 4 * 24 * 60 * 60

/** Marks `run` as cancelled and tells every worker: active steps stop, waiting ones end without work. */
export async function cancelRun(redis: Redis, run: string): Promise<void> {
  await redis.set(flagKey(run), new Date().toISOString(), 'EX', keepFlag)
  await redis.publish(channel, run)
}

export async function isCancelled(redis: Redis, run: string): Promise<boolean> {
  return (await redis.exists(flagKey(run))) === 1
}

/** Forgets the mark, so that a cancelled run can be retried. */
export async function forgetCancel(redis: Redis, run: string): Promise<void> {
  await redis.del(flagKey(run))
}

/** Calls `stop` with each run that is cancelled from now on. `subscriber` is used for nothing else. */
export async function onCancel(subscriber: Redis, stop: (run: string) => void): Promise<void> {
  subscriber.on('message', (_channel, run) => {
    stop(run)
  })
  await subscriber.subscribe(channel)
}
