import { createInterface } from 'node:readline/promises'
import { BackupError } from '@securyflex/shared/errors'
import { note } from './print.ts'

/**
 * Asks before something is changed; `yes` has answered already.
 * @param line the whole command with its answer, for where nobody can be asked
 * @throws CONFIRMATION_NEEDED without a terminal, CANCELLED for any answer but yes
 */
export async function confirm(question: string, options: { yes: boolean; line: string }): Promise<void> {
  if (options.yes) return
  if (!process.stdin.isTTY) {
    throw new BackupError(
      'CONFIRMATION_NEEDED',
      `${question} Nobody can be asked here, so nothing was done.`,
      {
        hint: `If that is meant, type: ${options.line}`,
      },
    )
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${question} [y/N] `)
    if (/^y(es)?$/i.test(answer.trim())) return
  } finally {
    terminal.close()
  }
  note('Nothing was done.')
  throw new BackupError('CANCELLED', 'The question was not answered with yes.')
}
