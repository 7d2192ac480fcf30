import type { Config, RedisAddress } from '@securyflex/shared/config'
import type { BackupError } from '@securyflex/shared/errors'
import type { Logger } from '@securyflex/shared/logging'
import type { Queues } from '@securyflex/shared/queue'
import type { RequestHandler } from 'express'
import type { Redis } from 'ioredis'

/** What the pages are made from. */
export interface Surroundings {
  readonly config: Config
  readonly logger: Logger
  readonly redis: Redis
  /** Why Redis is away, as far as it is known. */
  readonly trouble: () => BackupError | undefined
  readonly address: RedisAddress
  /** Undefined until Redis has answered once. */
  readonly queues: () => Queues | undefined
  readonly board: () => RequestHandler | undefined
}
