import { hostname } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { LogLevel } from './level.ts'
import { redact } from '@securyflex/shared/errors'
import winston from 'winston'
import { toJsonLine, toTextLine } from './lines.ts'
import { plain } from './plain.ts'
import { removeOldLogs } from './old-logs.ts'
import { RotatingFile } from './rotating-file.ts'

/** What a line carries besides its message. An `error` is written with its code, hint and causes. */
export type LogFields = Readonly<Record<string, unknown>>

/** Writes lines; every one is free of known secrets. No method throws. */
export interface Logger {
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  /** A logger for a part of the work, whose lines also carry `fields`, e.g. `{ run: runId }`. */
  child(fields: LogFields): Logger
  /** Resolves when all lines are written. Closes children too; lines that come later are dropped. */
  close(): Promise<void>
}

export interface LoggerOptions {
  /** The process or part that speaks: `worker`, `producer`, … Letters, digits and `-`; also names the file. */
  readonly name: string
  /** Where `<name>.<hostname>.<pid>.log` is kept, at most 5 files of 10 MB each; without it no file is written. */
  readonly directory?: string
  /** Default `info`. */
  readonly level?: LogLevel
  /** Where people read along; default is the standard error stream. */
  readonly stream?: NodeJS.WritableStream
}

const levels: Record<LogLevel, number> = { error: 0, warn: 1, info: 2, debug: 3 }
const line = Symbol.for('message')

/** A logger that writes readable lines to `stream` and JSON lines into `directory`. */
export function createLogger({
  name,
  directory,
  level = 'info',
  stream = process.stderr,
}: LoggerOptions): Logger {
  const lines = new Lines(level)
  endureClosedStream(stream)
  lines.addOutput(stream, (info) => toTextLine(info, level))
  if (directory !== undefined) lines.addOutput(openFile(directory, name, stream), toJsonLine)
  return wrap(lines, { logger: name })
}

/** winston, and how many lines are still on their way: its own `finish` comes before the last ones are out. */
class Lines {
  readonly #winston: winston.Logger
  readonly #outputs: NodeJS.WritableStream[] = []
  readonly #level: LogLevel
  #underway = 0
  #closed = false

  constructor(level: LogLevel) {
    this.#level = level
    this.#winston = winston.createLogger({ levels, level })
  }

  addOutput(
    stream: NodeJS.WritableStream,
    toLine: (info: Readonly<Record<string, unknown>>) => string,
  ): void {
    const format = winston.format((info) => {
      this.#underway -= 1
      return { ...info, [line]: toLine(info) }
    })()
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston's types, not ours
    this.#winston.add(new winston.transports.Stream({ stream, eol: '\n', format }))
    this.#outputs.push(stream)
  }

  write(level: LogLevel, message: string, fields: LogFields): void {
    if (this.#closed || levels[level] > levels[this.#level]) return
    this.#underway += this.#outputs.length
    const time = new Date().toISOString()
    // Under one name, because winston itself gives a meaning to some (`exception` silences a line).
    this.#winston.log({ level, message: redact(message), time, fields: plain(fields) })
  }

  async close(): Promise<void> {
    this.#closed = true
    while (this.#underway > 0) await setImmediate()
    for (const output of this.#outputs) if (output instanceof RotatingFile) output.destroy()
  }
}

function openFile(directory: string, name: string, stream: NodeJS.WritableStream): RotatingFile {
  const path = join(directory, `${name}.${hostname()}.${process.pid}.log`)
  const warn = (problem: string) => (cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause)
    stream.write(`${redact(`${problem}: ${reason}`)}\n`)
  }
  removeOldLogs(directory, Date.now(), warn('Old log files could not be removed'))
  return new RotatingFile(path, warn(`No log file is written, work goes on; ${path} cannot be written`))
}

function wrap(lines: Lines, bound: LogFields): Logger {
  const write =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      lines.write(level, message, { ...bound, ...fields })
    }
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    child: (fields) => wrap(lines, { ...bound, ...fields }),
    close: () => lines.close(),
  }
}

const endured = new WeakSet<NodeJS.WritableStream>()

/** A reader that has gone away (`… 2>&1 | head`) must not end a backup: nobody is left to be told. */
function endureClosedStream(stream: NodeJS.WritableStream): void {
  if (endured.has(stream)) return
  endured.add(stream)
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error
  })
}
