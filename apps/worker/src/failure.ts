import { type BackupError, codes, type ErrorCode } from '@securyflex/shared/errors'

/** What went wrong in a step, as its run hears of it. */
export interface Failure {
  readonly code: ErrorCode
  readonly reason: string
}

/** A job keeps only its error's message: the code goes along, in brackets, at its end. */
export function failureText(error: BackupError): string {
  const hint = error.hint === undefined ? '' : ` ${error.hint}`
  return `${error.message}${hint} [${error.code}]`
}

/** Reads what {@link failureText} wrote; other texts (BullMQ's own) are INTERNAL. */
export function readFailure(text: string): Failure {
  const match = /^(.*) \[([A-Z_]+)\]$/s.exec(text)
  const code = match?.[2]
  if (match?.[1] === undefined || code === undefined || !(code in codes))
    return { code: 'INTERNAL', reason: text }
  return { code: code as ErrorCode, reason: match[1] }
}
