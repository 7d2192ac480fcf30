import type { ErrorCode } from '@securyflex/shared/errors'

/** Thrown by a parser: what is wrong with a value, as a clause that follows the variable's name and a colon. */
export class Wrong extends Error {
  readonly code: ErrorCode
  /** A full sentence; without it the variable's example is shown. */
  readonly remedy: string | undefined

  constructor(what: string, remedy?: string, code: ErrorCode = 'CONFIG_INVALID') {
    super(what)
    this.remedy = remedy
    this.code = code
  }
}
