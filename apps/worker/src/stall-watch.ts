import type { Attempt } from '@securyflex/shared/spool'

const minute = 60_000
/** In ms. */
const shortestLook = 1000

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

  #lastLook = Number.NEGATIVE_INFINITY

  constructor(attempt: Attempt, destinations: readonly string[], minutes: number, clock: () => Date) {
    this.#attempt = attempt
    this.#destinations = destinations
    this.#limit = minutes * minute
    this.#clock = clock
  }

  /** Looks at every destination's progress since the last look; more often than each second is no look. */
  async look(): Promise<void> {
    const now = this.#clock().getTime()
    if (now - this.#lastLook < shortestLook) return
    this.#lastLook = now
    const dropped = await this.#attempt.dropped()
    for (const name of this.#destinations.filter((destination) => !dropped.has(destination))) {
      const { waiting, done } = await this.#count(name)
      const seen = this.#seen.get(name)
      // One that has nothing to take is not to blame: another run's batches fill the spool.
      if (waiting === 0 || done !== seen?.done) this.#seen.set(name, { done, since: now })
      else if (now - seen.since > this.#limit) await this.#drop(name)
    }
  }

  /** Batches that the destination has, and those that are ready for it. */
  async #count(destination: string): Promise<{ done: number; waiting: number }> {
    const counts = { done: 0, waiting: 0 }
    for await (const batch of this.#attempt.batches()) {
      if (await batch.isDone(destination)) counts.done += 1
      else if ((await batch.state()) === 'sealed') counts.waiting += 1
    }
    return counts
  }

  /** Its share of every batch is given up, so that the room of batches that others have is free again. */
  async #drop(destination: string): Promise<void> {
    const minutes = String(this.#limit / minute)
    await this.#attempt.drop(destination, `Nothing was stored in ${destination} for ${minutes} minutes.`)
    for await (const batch of this.#attempt.batches()) {
      if (await batch.isDone(destination)) continue
      await batch.markDone(destination, [])
      await batch.freeIfDone(this.#destinations)
    }
  }
}
