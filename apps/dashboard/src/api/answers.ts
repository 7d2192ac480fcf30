import { asBackupError, type BackupError, type ErrorCode, redact } from '@securyflex/shared/errors'
import type { Response } from 'express'

/** Statuses of what a caller can do something about; all else is the server's trouble. */
const statuses: Partial<Record<ErrorCode, number>> = {
  PAYLOAD_INVALID: 400,
  USAGE: 409,
  SOURCE_UNKNOWN: 404,
  BACKUP_NOT_FOUND: 404,
  SOURCE_PAUSED: 409,
  DATABASE_BUSY: 409,
  REDIS_UNREACHABLE: 503,
}

/** The status with which an error is answered. */
export function statusOf({ code }: BackupError): number {
  return statuses[code] ?? 500
}

/** Answers with an error as every part of the API does: what happened, and what to do. */
export function refuse(response: Response, status: number, error: Refusal): void {
  const { code, message, hint } = error
  response.status(status).set('Cache-Control', 'no-store')
  response.json({
    error: { code, message: redact(message), ...(hint === undefined ? {} : { hint: redact(hint) }) },
  })
}

export interface Refusal {
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
}

/** Answers with what was thrown. */
export function refuseWith(response: Response, thrown: unknown): void {
  const error = asBackupError(thrown)
  refuse(response, statusOf(error), error)
}
