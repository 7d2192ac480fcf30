import { BackupError } from '@securyflex/shared/errors'
import type { Queues } from '@securyflex/shared/queue'

/** Between two questions, in ms. */
const interval = 2000

/**
 * Aborts work that holds something open at the source once Redis has not answered for as long as a job's lock
 * lasts: by then another worker may have the job, and nothing that is made here can be handed on.
 */
export class RedisWatch implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  #answered = performance.now()

  constructor(redis: Queues['redis'], patience: number) {
    this.#timer = setInterval(() => {
      if (performance.now() - this.#answered > Math.max(patience, 3 * interval))
        this.#controller.abort(gone())
      else this.#ask(redis)
    }, interval)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #ask(redis: Queues['redis']): void {
    redis.ping().then(
      () => {
        this.#answered = performance.now()
      },
      // No answer is what is measured; its time is not renewed.
      () => undefined,
    )
  }
}

function gone(): BackupError {
  return new BackupError('REDIS_UNREACHABLE', 'Redis did not answer, so the dump was ended.', {
    hint: 'It is made again when Redis is back.',
  })
}
