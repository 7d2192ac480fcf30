import { AsyncLocalStorage } from 'node:async_hooks'
import type { AfterHook, BullBoardRequest } from '@bull-board/api/typings/app'
import { type Action, queueName, recordAction, type Queues } from '@securyflex/shared/queue'

/** Bull Board hands its hooks no request of express: who asks is kept beside it. */
const asking = new AsyncLocalStorage<string>()

/** Lets the board handle a request of `visitor`. */
export function askedBy<T>(visitor: string, handle: () => T): T {
  return asking.run(visitor, handle)
}

type Done = Pick<Action, 'what' | 'subject'>

/** What each change that the board may make is called in the list of actions, by method and route. */
const names: Readonly<Record<string, (request: BullBoardRequest) => Done>> = {
  'put /api/queues/:queueName/:jobId/retry': (request) => ({ what: 'retry', subject: jobIn(request) }),
  'put /api/queues/:queueName/:jobId/promote': (request) => ({ what: 'promote', subject: jobIn(request) }),
  'put /api/queues/:queueName/promote': (request) => ({ what: 'promote', subject: queueIn(request) }),
  'put /api/queues/:queueName/pause': (request) => ({ what: 'pause', subject: queueIn(request) }),
  'put /api/queues/:queueName/resume': (request) => ({ what: 'resume', subject: queueIn(request) }),
  'put /api/queues/resume': () => ({ what: 'resume', subject: 'all queues' }),
}

/** Writes each change that the board has made into the list of actions, with who made it. */
export function recordChanges({ redis }: Queues): AfterHook {
  return async ({ method, route, request }, answer) => {
    if (method === 'get' || (answer.status ?? 200) >= 300) return answer
    const done = names[`${method} ${route}`]?.(request) ?? { what: 'change', subject: route }
    await recordAction(redis, { ...done, by: asking.getStore() ?? 'dashboard', detail: 'on the board' })
    return answer
  }
}

/** A run's job is the run. */
function jobIn(request: BullBoardRequest): string {
  const { queueName: queue, jobId } = request.params as { queueName: string; jobId: string }
  return queue === queueName('run') ? jobId : `${queue} ${jobId}`
}

function queueIn({ params }: BullBoardRequest): string {
  return `queue ${String(params['queueName'])}`
}
