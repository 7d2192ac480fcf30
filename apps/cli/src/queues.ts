import type { Config, RedisAddress } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { connectOrFail, Queues, queueNames } from '@securyflex/shared/queue'

/**
 * Works with the queues of the service that runs.
 * @throws REDIS_UNREACHABLE within seconds if there is none
 */
export async function withQueues<T>(config: Config, work: (queues: Queues) => Promise<T>): Promise<T> {
  const redis = await connectOrFail(addressOf(config))
  const queues = new Queues(redis, config.worker.retryDelay)
  try {
    return await work(queues)
  } finally {
    await queues.close()
    redis.disconnect()
  }
}

/** Where the service keeps its queues. @throws REDIS_UNREACHABLE if none is named and none runs here */
export function addressOf(config: Config): RedisAddress {
  const address = findAddress(config)
  if (address !== undefined) return address
  throw new BackupError('REDIS_UNREACHABLE', 'No service runs here, and REDIS_URL names no Redis.', {
    hint: 'Start it with: npm start (or make one backup without it: npm run backup)',
  })
}

/** Like {@link addressOf}; undefined instead of an error. */
export function findAddress(config: Config): RedisAddress | undefined {
  return config.redis
}

/** The queues that no worker serves. */
export async function unservedQueues(queues: Queues, config: Config): Promise<string[]> {
  const names = queueNames(config.destinations.map(({ name }) => name))
  const workers = await Promise.all(names.map((name) => queues.byName(name).getWorkersCount()))
  return names.filter((_, index) => workers[index] === 0)
}
