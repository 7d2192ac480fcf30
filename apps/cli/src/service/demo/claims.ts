import { print } from '../../output/print.ts'

/** What the demo says, and whether all of it held. */
export class Claims {
  #failed = 0

  /** Says a claim, marked as held or not. */
  check(held: boolean, words: string): void {
    if (!held) this.#failed += 1
    print(`  ${held ? '✔' : '✘ NOT SO:'} ${words}`)
  }

  /** How many did not hold. */
  get failed(): number {
    return this.#failed
  }
}
