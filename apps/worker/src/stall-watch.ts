import { BackupError } from '@securyflex/shared/errors'
import type { Attempt } from '@securyflex/shared/spool'

const minute = 60_000
/** In ms. */
const shortestLook = 1000

interface StallWatchOptions {
  readonly attempt: Attempt
  readonly destinations: readonly string[]
  /** How long without progress. */
  readonly minutes: number
  readonly clock: () => Date
  /** Drops a destination from the run. */
  readonly leaveOut: (destination: string, why: BackupError) => Promise<void>
}

/**
 * Drops a destination that takes nothing while a dump waits for room: a dead store must neither fill the
 * spool nor keep the snapshot open.
 */
export class StallWatch {
  readonly #attempt: Attempt
  readonly #destinations: readonly string[]
  readonly #limit: number
  readonly #clock: () => Date
  readonly #leaveOut: (destination: string, why: BackupError) => Promise<void>
  readonly #seen = new Map<string, { done: number; since: number }>()

  #lastLook = Number.NEGATIVE_INFINITY

  constructor({ attempt, destinations, minutes, clock, leaveOut }: StallWatchOptions) {
    this.#attempt = attempt
    this.#destinations = destinations
    this.#limit = minutes * minute
    this.#clock = clock
    this.#leaveOut = leaveOut
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
      if (batch.isDone(destination)) counts.done += 1
      else if ((await batch.state()) === 'sealed') counts.waiting += 1
    }
    return counts
  }

  /** Its share of every batch is given up, so that the room of batches that others have is free again. */
  async #drop(destination: string): Promise<void> {
    const minutes = String(this.#limit / minute)
    const what = `Nothing was stored in ${destination} for ${minutes} minutes.`
    const hint = 'See its queue on the dashboard for what it said.'
    await this.#leaveOut(destination, new BackupError('STALLED', what, { hint }))
    for await (const batch of this.#attempt.batches()) {
      if (batch.isDone(destination)) continue
      await batch.markDone(destination, [])
      await batch.freeIfDone(this.#destinations)
    }
  }
}
