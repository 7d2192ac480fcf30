/** Signals that ask a process to end: Ctrl-C, `kill`, and the terminal being closed. */
const all = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface StopRequest extends AsyncDisposable {
  /** Resolves at the first signal. */
  readonly asked: Promise<void>
  /** Aborts at the second one: whoever asks twice does not want to wait. */
  readonly hurry: AbortSignal
}

/** Listens for signals until it is disposed of; SIGHUP is none of them where `hangup` is false. */
export function whenAskedToStop({ hangup = true } = {}): StopRequest {
  const signals = hangup ? all : all.filter((signal) => signal !== 'SIGHUP')
  const asked = Promise.withResolvers<undefined>()
  const hurry = new AbortController()
  let times = 0
  const count = () => {
    times += 1
    asked.resolve(undefined)
    if (times > 1) hurry.abort()
  }
  for (const signal of signals) process.on(signal, count)
  return {
    asked: asked.promise,
    hurry: hurry.signal,
    [Symbol.asyncDispose]: () => {
      for (const signal of signals) process.off(signal, count)
      return Promise.resolve()
    },
  }
}
