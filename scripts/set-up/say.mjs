/** Something the set-up cannot do; the hint is what to type. */
export class SetUpError extends Error {
  /**
   * @param {string} message what happened, one sentence
   * @param {string} [hint] what to do, one sentence or one command
   */
  constructor(message, hint) {
    super(message)
    this.hint = hint
  }
}

/**
 * Prints one line on stderr: stdout belongs to the command.
 * @param {string} line
 */
export function say(line) {
  process.stderr.write(`${line}\n`)
}
