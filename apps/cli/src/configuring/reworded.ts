import { BackupError } from '@securyflex/shared/errors'

/**
 * The error with other words in its hint: what is tried here may stand on the command line or in the file, and hints
 * name the variable that says it elsewhere.
 */
export function reworded(error: unknown, words: Readonly<Record<string, string>>): unknown {
  if (!(error instanceof BackupError) || error.hint === undefined) return error
  const hint = Object.entries(words).reduce((text, [from, to]) => text.replaceAll(from, to), error.hint)
  return new BackupError(error.code, error.message, { hint, class: error.class, cause: error.cause })
}
