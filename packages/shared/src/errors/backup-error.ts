import { codes, type ErrorClass, type ErrorCode } from './codes.ts'
import { redact } from './secret.ts'

/** What an error says besides its message. */
export interface ErrorDetails {
  /** What the reader can type or do; a full sentence or a command. */
  readonly hint?: string
  readonly cause?: unknown
  /** Overrides the class of the code's table where this occurrence is known to differ. */
  readonly class?: ErrorClass
  /** How long the other side asks to be left alone, in ms. */
  readonly retryAfter?: number | undefined
}

/**
 * The error of this project: a code, what happened, and a hint that can be acted on.
 * Message and hint are redacted here, where they are made, because queues, boards and logs keep them.
 */
export class BackupError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly class: ErrorClass
  readonly retryAfter: number | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(redact(message), details.cause === undefined ? {} : { cause: details.cause })
    this.name = 'BackupError'
    this.code = code
    this.hint = details.hint === undefined ? undefined : redact(details.hint)
    this.class = details.class ?? codes[code].class
    this.retryAfter = details.retryAfter
  }

  /** The process's exit status for this error, from the table. */
  get exitStatus(): number {
    return codes[this.code].exitStatus
  }
}

/** `error` if it is one of ours, else an INTERNAL one around it that may be retried. */
export function asBackupError(error: unknown): BackupError {
  if (error instanceof BackupError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new BackupError('INTERNAL', message, { cause: error, class: 'transient' })
}

/** One line for a person: what happened and what to do about it. */
export function describe(error: unknown): string {
  const known = asBackupError(error)
  return known.hint === undefined ? known.message : `${known.message} ${known.hint}`
}

/** The `code` of a system error such as `ENOENT`, if it has one. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
