import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { BackupError } from '@securyflex/shared/errors'

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
  if (/^y(es)?$/i.test(await ask(`${question} [y/N] `))) return
  throw new BackupError('CANCELLED', 'The question was not answered with yes, so nothing was done.')
}

/** What is typed at the terminal; empty if Ctrl-C or the end of the input (Ctrl-D, a closed terminal) is the answer. */
export async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const ended = once(terminal, 'close').then(() => '')
  terminal.once('SIGINT', () => {
    terminal.close()
  })
  try {
    const answered = new Promise<string>((done) => {
      terminal.question(question, done)
    })
    const answer = await Promise.race([answered, ended])
    if (answer === '') process.stderr.write('\n')
    return answer.trim()
  } finally {
    terminal.close()
  }
}
