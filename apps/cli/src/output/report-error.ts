import { wantsDebug } from '@securyflex/shared/config'
import { type BackupError, redact } from '@securyflex/shared/errors'

/** Says what happened and what to do, each on a line of its own; where it happened only with BACKUP_LOG_LEVEL=debug. */
export function reportError(error: BackupError): void {
  const hint = error.hint === undefined ? [] : [error.hint]
  process.stderr.write(`${[error.message.trimEnd(), ...hint].join('\n')}\n`)
  if (wantsDebug()) process.stderr.write(`${redact(traceOf(error))}\n`)
}

/** Ends a command that has done what it could: all of these are told, and the first decides its status. */
export function throwAll([first, ...others]: readonly BackupError[]): void {
  for (const other of others) reportError(other)
  if (first !== undefined) throw first
}

function traceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.stack ?? error.message
  return error.cause === undefined ? own : `${own}\ncaused by ${traceOf(error.cause)}`
}
