import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import type { AfterHook } from '@bull-board/api/typings/app'
import { ExpressAdapter } from '@bull-board/express'
import { type Step, steps } from '@securyflex/shared/config'
import { queueName, type Queues } from '@securyflex/shared/queue'
import type { RequestHandler } from 'express'
import { judgeChange } from './changes.ts'
import { recordChanges } from './recorded.ts'
import { redactAnswer } from './redacted.ts'

const descriptions: Record<Step, string> = {
  schedule: 'Fires at the configured times and asks for a run.',
  run: 'One backup from its request to its end; the steps below are its children.',
  dump: 'Reads the database once, in one snapshot, and cuts it into segments.',
  compress: 'Compresses a batch of segments.',
  encrypt: 'Seals each segment of a batch.',
  upload: 'Stores a batch at this destination.',
  seal: 'Checks that every segment is there and writes the manifest: the backup exists.',
  verify: 'Reads back and opens what was stored.',
  prune: 'Removes backups past their retention.',
  notify: 'Tells how the run ended.',
  copy: 'Brings a destination the backups that it missed, from one that has them.',
  scrub: 'Reads back a share of what a destination has, and heals what is missing or bad from another one.',
}

/** Bull Board over the queues of all steps, to be mounted at `path`. */
export function bullBoard(queues: Queues, destinations: readonly string[], path: string): RequestHandler {
  const adapter = new ExpressAdapter()
  adapter.setBasePath(path)
  createBullBoard({
    queues: steps.flatMap((step) =>
      namesOf(step, destinations).map((name) => new BullMQAdapter(queues.byName(name), adapterOptions(step))),
    ),
    serverAdapter: adapter,
    options: {
      handlerHooks: { before: judgeChange, after: both(recordChanges(queues), redactAnswer) },
      uiConfig: {
        boardTitle: 'SecuryFlex Backup',
        miscLinks: [{ text: 'Backups', url: '/' }],
        hideDocsLink: true,
        sortQueues: false,
      },
    },
  })
  return adapter.getRouter() as RequestHandler
}

function both(first: AfterHook, second: AfterHook): AfterHook {
  return async (context, answer) => second(context, await first(context, answer))
}

/** What the browser is offered; {@link judgeChange} is what holds. */
function adapterOptions(step: Step) {
  return { description: descriptions[step], readOnlyMode: step === 'schedule', allowCompletedRetries: false }
}

function namesOf(step: Step, destinations: readonly string[]): string[] {
  return step === 'upload' ? destinations.map((name) => queueName(step, name)) : [queueName(step)]
}
