import type { Config, RedisAddress } from '@securyflex/shared/config'

/** What a running service left word of, in `<BACKUP_DIR>/service.json`. */
export interface ServiceWord {
  readonly pid: number
  readonly started: string
  readonly redis: RedisAddress
}

/** The service that runs on this BACKUP_DIR and answers; undefined if there is none. */
export async function findService(_config: Config): Promise<ServiceWord | undefined> {
  return Promise.reject(new Error('not there yet'))
}

/**
 * Where Redis is: `REDIS_URL`, else that of the running service.
 * @throws REDIS_UNREACHABLE if neither is there, saying what to type
 */
export async function resolveRedis(_config: Config): Promise<RedisAddress> {
  return Promise.reject(new Error('not there yet'))
}
