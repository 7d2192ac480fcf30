import { BackupError } from '@securyflex/shared/errors'

/** The settings of a connection by their libpq names, e.g. `host`; an empty value counts as given, as in libpq. */
export type Settings = Map<string, string>

/**
 * The error for a connection string that cannot be used. Callers never put values into it: a string
 * that is read wrongly has pieces of the password in places where nobody expects them.
 */
export function refusal(message: string, hint: string): BackupError {
  return new BackupError('CONFIG_INVALID', message, { hint })
}
