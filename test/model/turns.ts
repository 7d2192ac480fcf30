/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Lets processes take turns: each waits before every call until it is chosen. Chance chooses among those that have
 * waited longest; some calls are late, and come when nobody else waits. None is put off for ever.
 */
export class Turns {
  readonly #chance: () => number
  readonly #late: number
  readonly #waiting: (() => void)[] = []
  readonly #belated: (() => void)[] = []
  #together = false

  /** @param late how many of a thousand calls come when nobody else waits */
  constructor(chance: () => number, late: number) {
    this.#chance = chance
    this.#late = late
  }

  /** Waits for a turn; alone there is no need to. */
  turn(): Promise<void> {
    if (!this.#together) return Promise.resolve()
    const queue = this.#chance() * 1000 < this.#late ? this.#belated : this.#waiting
    return new Promise((resolve) => queue.push(resolve))
  }

  /** Runs processes side by side until all have ended. */
  async run(processes: readonly (() => Promise<void>)[]): Promise<void> {
    this.#together = processes.length > 1
    let open = processes.length
    const ends = Promise.all(processes.map((process) => process().finally(() => (open -= 1))))
    // Whoever fails is heard below.
    ends.catch(() => undefined)
    while (open > 0) {
      await new Promise(setImmediate)
      const [next = this.#belated.shift()] = this.#waiting.splice(
        Math.floor(this.#chance() * Math.min(6, this.#waiting.length)),
        1,
      )
      next?.()
    }
    this.#together = false
    await ends
  }
}
