import { spawn, spawnSync } from 'node:child_process'
import { finished, Readable, type Writable } from 'node:stream'
import { BackupError, type ErrorCode, systemCode } from '@securyflex/shared/errors'
import { childEnvironment } from './environment.ts'

/** A child process that is running. */
export interface Tool {
  readonly pid: number | undefined
  /** Present when asked for. A tool that dies makes writing fail with EPIPE; `done` then says why it died. */
  readonly stdin: Writable | undefined
  /** Ends only after the tool has exited with 0; else it fails with the error of `done`. */
  readonly stdout: Readable
  /**
   * Resolves when the tool has exited with 0 and all its pipes are closed, which needs `stdout` to be read
   * to its end. Rejects with what went wrong, or with the signal's reason when it was aborted.
   */
  readonly done: Promise<void>
  /** Its first complaints and the last lines that it wrote to standard error, also those of a success. */
  messages(): readonly string[]
}

/** How a tool is started. */
export interface ToolOptions {
  /** Everything that the child gets to know; nothing is inherited. Secrets go here, never into arguments. */
  readonly env: Readonly<Record<string, string>>
  /** Stops the tool: SIGTERM at once, SIGKILL after five seconds. */
  readonly signal?: AbortSignal
  /** Opens `stdin`; without it the tool reads nothing. */
  readonly stdin?: boolean
  /** The code of an unexplained failure; DUMP_FAILED without it. */
  readonly failureCode?: ErrorCode
  /** Turns the last lines of standard error into an error that says more. */
  readonly explain?: (messages: readonly string[]) => BackupError | undefined
}

/** Milliseconds between asking a tool to stop and killing it. */
const killDelay = 5_000
/** Lines at the end of standard error that are kept. */
const keptLines = 20
/** Characters of one such line that are kept. */
const keptLength = 500

/**
 * Starts `path` without a shell. Where `setpriv` knows `--pdeathsig` the kernel kills the tool when this
 * process dies; it follows the thread that starts it, so call this from the main thread.
 */
export function startTool(path: string, args: readonly string[], options: ToolOptions): Tool {
  const { signal } = options
  const [command, ...rest] = tiedToParent('KILL', [path, ...args])
  const child = spawn(command, rest, {
    env: { ...options.env },
    stdio: [options.stdin === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  })
  const output = child.stdout ?? Readable.from([])
  const messages = keptMessages(child.stderr ?? Readable.from([]))
  const stop = stopper(child, output, signal)

  const done = new Promise<void>((resolve, reject) => {
    child.once('error', (error) => {
      stop.forget()
      reject(cannotStart(path, error))
    })
    child.once('close', (status, killedBy) => {
      stop.forget()
      if (signal?.aborted === true) reject(cancelled(path, signal))
      else if (status === 0) resolve()
      else reject(failure(path, status, killedBy, messages(), options))
    })
  })
  // Whoever awaits `done` gets the error; until then it must not count as unhandled.
  done.catch(() => undefined)
  // A tool that dies breaks its pipe; `done` tells why.
  child.stdin?.on('error', () => undefined)

  return { pid: child.pid, stdin: child.stdin ?? undefined, stdout: endingWith(output, done), done, messages }
}

/** Pieces of output, of 64 KiB at most, that wait for a reader before the tool has to. */
const piecesAhead = 64

/**
 * `output`, whose end waits for success: reading to the end is then proof, and cannot be mistaken for it. It is read
 * ahead of who takes it, since a tool writes no more than its pipe holds while this process does something else.
 */
function endingWith(output: Readable, done: Promise<void>): Readable {
  const whole = new Readable({
    // Pieces that wait stay as they came; a stream of bytes would join them in new memory.
    objectMode: true,
    highWaterMark: piecesAhead,
    read: () => output.resume(),
    destroy(error, callback) {
      output.destroy()
      callback(error)
    },
  })
  output.on('data', (piece: Buffer) => {
    if (!whole.push(piece)) output.pause()
  })
  finished(output, (error) => {
    done.then(
      () => (error ? whole.destroy(error) : whole.push(null)),
      (why: unknown) => whole.destroy(why as Error),
    )
  })
  // A reader that is there sees the error; one that has gone has `done`.
  whole.on('error', () => undefined)
  return whole
}

function stopper(
  child: ReturnType<typeof spawn>,
  output: Readable,
  signal: AbortSignal | undefined,
): { forget(): void } {
  let patience: NodeJS.Timeout | undefined
  const stop = () => {
    child.kill('SIGTERM')
    patience = setTimeout(() => child.kill('SIGKILL'), killDelay)
    // Nobody may be reading any more, and the end of a pipe that is full never comes.
    output.destroy()
  }
  if (signal?.aborted === true) stop()
  else signal?.addEventListener('abort', stop, { once: true })
  return {
    forget() {
      clearTimeout(patience)
      signal?.removeEventListener('abort', stop)
    },
  }
}

/** Lines that say what is wrong, in the words of PostgreSQL's tools; a long statement often follows them. */
const complaint = /\b(?:error|ERROR|FATAL|PANIC):/
/** How many of the first complaints are kept, whatever comes after them. */
const keptComplaints = 5

/** The first complaints and the last lines of a stream. */
function keptMessages(stream: Readable): () => readonly string[] {
  const complaints: string[] = []
  const last: string[] = []
  let unfinished = ''
  const keep = (line: string) => {
    const short = line.slice(0, keptLength)
    last.push(short)
    const pushedOut = last.length > keptLines ? last.shift() : undefined
    if (pushedOut !== undefined && complaint.test(pushedOut) && complaints.length < keptComplaints) {
      complaints.push(pushedOut)
    }
  }
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (unfinished + text).split('\n')
    unfinished = (lines.pop() ?? '').slice(0, keptLength)
    for (const line of lines) if (line !== '') keep(line)
  })
  return () => [...complaints, ...last, ...(unfinished === '' ? [] : [unfinished])]
}

/** What a message quotes: the complaints if there are any, else the end. */
function gist(messages: readonly string[]): string {
  const complaints = messages.filter((line) => complaint.test(line)).slice(0, keptComplaints)
  return (complaints.length > 0 ? complaints : messages.slice(-keptComplaints)).join(' | ')
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function cannotStart(path: string, error: Error): BackupError {
  return new BackupError(
    'TOOL_MISSING',
    `${path} cannot be started (${systemCode(error) ?? error.message}).`,
    {
      hint: "Install PostgreSQL's client tools, or correct BACKUP_PG_BIN_DIR.",
      cause: error,
    },
  )
}

/** The reason of `signal`, in words of the tool at `path` if it is none of ours. */
export function cancelled(path: string, signal: AbortSignal): BackupError {
  const reason: unknown = signal.reason
  return reason instanceof BackupError
    ? reason
    : new BackupError('CANCELLED', `${nameOf(path)} was stopped.`, { cause: reason })
}

function failure(
  path: string,
  status: number | null,
  killedBy: NodeJS.Signals | null,
  messages: readonly string[],
  { failureCode = 'DUMP_FAILED', explain }: ToolOptions,
): BackupError {
  const name = nameOf(path)
  if (killedBy !== null) {
    return new BackupError(failureCode, `${name} was killed by ${killedBy}.`, {
      class: 'transient',
      hint:
        killedBy === 'SIGKILL'
          ? 'Look for "out of memory" in the system\'s log (dmesg); it kills large processes first.'
          : "Look into the system's log for who stopped it.",
    })
  }
  const unstartable = messages.find((line) => line.startsWith('setpriv: failed to execute'))
  if (unstartable !== undefined) return cannotStart(path, new Error(unstartable))
  const explained = explain?.(messages)
  if (explained !== undefined) return explained
  const said = gist(messages)
  return new BackupError(
    failureCode,
    `${name} failed with status ${String(status)}${said === '' ? ', silently' : `: ${said}`}.`,
    {
      hint: 'Run it by hand with the same connection to see more.',
    },
  )
}

let canTie: boolean | undefined

/** `command` so that the kernel sends `signal` to it when this process dies, where it can. */
export function tiedToParent(
  signal: 'KILL' | 'QUIT',
  command: readonly [string, ...string[]],
): [string, ...string[]] {
  canTie ??=
    process.platform === 'linux' &&
    spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', 'true'], { stdio: 'ignore', env: childEnvironment() })
      .status === 0
  return canTie ? ['setpriv', '--pdeathsig', signal, '--', ...command] : [...command]
}
