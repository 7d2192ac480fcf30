import type { Attempt } from '@securyflex/shared/spool'

const minute = 60_000

/**
 * Drops a destination that takes nothing while a dump waits for room: a dead store must neither fill the
 * spool nor keep the snapshot open.
 */
export class StallWatch {
  readonly #attempt: Attempt
  readonly #destinations: readonly string[]
  readonly #limit: number
  readonly #clock: () => Date
  readonly #seen = new Map<string, { done: number; since: number }>()

  constructor(attempt: Attempt, destinations: readonly string[], minutes: number, clock: () => Date) {
    this.#attempt = attempt
    this.#destinations = destinations
    this.#limit = minutes * minute
    this.#clock = clock
  }

  /** Looks at every destination's progress since the last look. */
  async look(): Promise<void> {
    const now = this.#clock().getTime()
    const dropped = await this.#attempt.dropped()
    for (const name of this.#destinations.filter((destination) => !dropped.has(destination))) {
      const done = await this.#countDone(name)
      const seen = this.#seen.get(name)
      if (seen === undefined || done !== seen.done) this.#seen.set(name, { done, since: now })
      else if (now - seen.since > this.#limit) await this.#drop(name)
    }
  }

  async #countDone(destination: string): Promise<number> {
    let count = 0
    for await (const batch of this.#attempt.batches()) {
      if ((await batch.doneEntries(destination)) !== undefined) count += 1
    }
    return count
  }

  /** Its share of every batch is given up, so that the room of batches that others have is free again. */
  async #drop(destination: string): Promise<void> {
    const minutes = String(this.#limit / minute)
    await this.#attempt.drop(destination, `Nothing was stored in ${destination} for ${minutes} minutes.`)
    for await (const batch of this.#attempt.batches()) {
      if ((await batch.doneEntries(destination)) !== undefined) continue
      await batch.markDone(destination, [])
      await batch.freeIfDone(this.#destinations)
    }
  }
}
