import type { BackupError } from '@securyflex/shared/errors'
import { queueName } from '@securyflex/shared/queue'
import type { Attempt } from '@securyflex/shared/spool'
import type { WorkerContext } from './context.ts'
import { failureText } from './failure.ts'
import { hurry } from './hurry.ts'

/** Between two looks at what was dropped, in ms. */
const interval = 1000

/**
 * Leaves a destination out of the rest of a run. Its uploads that wait for their next try have it now, and end: the run
 * waits for them.
 */
export async function drop(
  { queues, logger }: Pick<WorkerContext, 'queues' | 'logger'>,
  { run, attempt }: { readonly run: string; readonly attempt: Attempt },
  destination: string,
  error: BackupError,
): Promise<void> {
  logger.warn(`${destination} is left out of this run: ${error.message}`, { error })
  await attempt.drop(destination, failureText(error))
  await hurry(queues, [queueName('upload', destination)], run)
}

/** Aborts what an upload is doing, in the middle of a request too, once somebody drops its destination. */
export class DropWatch implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout

  constructor(attempt: Attempt, destination: string) {
    this.#timer = setInterval(() => {
      attempt.dropped().then(
        (dropped) => {
          if (dropped.has(destination)) this.#controller.abort('dropped')
        },
        // The upload itself looks into the spool, and says what is wrong with it.
        () => undefined,
      )
    }, interval)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
