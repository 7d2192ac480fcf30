import type { Config } from '@securyflex/shared/config'
import { connectOrFail, Queues, queueNames, redisTrouble } from '@securyflex/shared/queue'
import { resolveRedis } from './service/word.ts'

/**
 * Works with the queues of the service that runs: at `REDIS_URL`, else the one of this BACKUP_DIR.
 * @throws REDIS_UNREACHABLE within seconds if there is none
 */
export async function withQueues<T>(config: Config, work: (queues: Queues) => Promise<T>): Promise<T> {
  const address = await resolveRedis(config)
  const redis = await connectOrFail(address)
  const queues = new Queues(redis, config.worker.retryDelay)
  try {
    return await work(queues)
  } catch (error) {
    throw redisTrouble(error, address) ?? error
  } finally {
    await queues.close()
    redis.disconnect()
  }
}

/** The queues that no worker serves. */
export async function unservedQueues(queues: Queues, config: Config): Promise<string[]> {
  const names = queueNames(config.destinations.map(({ name }) => name))
  const workers = await Promise.all(names.map((name) => queues.byName(name).getWorkersCount()))
  return names.filter((_, index) => workers[index] === 0)
}
