import type { Logger } from '@securyflex/shared/logging'
import { queueNames, Queues } from '@securyflex/shared/queue'
import type { Redis } from 'ioredis'

/** The queues, as soon as Redis has answered once. */
export interface OpenQueues extends AsyncDisposable {
  /** Undefined until Redis has answered; a later outage leaves them open. */
  readonly current: Queues | undefined
}

/**
 * Opens the queues when Redis answers: a BullMQ queue that is made during an outage stays unusable for good.
 * @param opened is called with them, once
 */
export function openQueuesWhenReady(
  redis: Redis,
  destinations: readonly string[],
  logger: Logger,
  opened: (queues: Queues) => void,
): OpenQueues {
  let current: Queues | undefined
  let opening = Promise.resolve()
  const open = async () => {
    if (current !== undefined) return
    // The board adds nothing, so the wait before a second attempt is nobody's.
    const queues = new Queues(redis, 0)
    try {
      await Promise.all(queueNames(destinations).map((name) => queues.byName(name).waitUntilReady()))
      current = queues
      opened(queues)
    } catch (error) {
      logger.debug('Redis went away while the queues were opened; they are opened when it is back.', {
        error,
      })
      await queues.close()
    }
  }
  const tryToOpen = () => {
    opening = opening.then(open)
  }
  redis.on('ready', tryToOpen)
  if (redis.status === 'ready') tryToOpen()
  return {
    get current() {
      return current
    },
    async [Symbol.asyncDispose]() {
      redis.off('ready', tryToOpen)
      await opening
      await current?.close()
    },
  }
}
