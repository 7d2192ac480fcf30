import { BackupError, type ErrorCode } from '@securyflex/shared/errors'

/** Something wrong with one variable. */
export interface Problem {
  readonly variable: string
  /** A clause that follows the variable's name and a colon, or a full sentence. */
  readonly what: string
  /** A full sentence: what to type instead. */
  readonly remedy: string
  readonly code: ErrorCode
}

const more = 'Correct them in the environment or in .env; docs/configuration.md describes every variable.'

/** One error for all problems: a sentence if there is one problem, else a list with a line for each. */
export function problemsError(problems: readonly Problem[]): BackupError {
  const [first] = problems
  const codes = new Set(problems.map(({ code }) => code))
  const code = codes.size === 1 && first !== undefined ? first.code : 'CONFIG_INVALID'
  if (problems.length === 1 && first !== undefined) {
    return new BackupError(code, sentence(first), { hint: first.remedy })
  }
  const lines = problems.map((problem) => `  ${sentence(problem)} ${problem.remedy}`)
  return new BackupError(code, `${problems.length} settings are wrong:\n${lines.join('\n')}\n`, {
    hint: more,
  })
}

function sentence({ variable, what }: Problem): string {
  return `${variable}: ${what.replace(/\.$/, '')}.`
}
