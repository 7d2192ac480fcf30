import { BackupError } from '@securyflex/shared/errors'

/** Runs work that Ctrl-C ends in order: the signal aborts, and the work cleans up. A second one ends at once. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const interrupt = () => {
    controller.abort(new BackupError('CANCELLED', 'It was interrupted; what it had begun was taken back.'))
    forget()
  }
  const forget = () => {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    return await work(controller.signal)
  } finally {
    forget()
  }
}

/** Resolves when this process is asked to end. */
export async function untilInterrupted(): Promise<void> {
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => {
      resolve()
    })
    process.once('SIGTERM', () => {
      resolve()
    })
  })
}
