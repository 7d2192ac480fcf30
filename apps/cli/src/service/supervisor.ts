import type { Ending, Part } from './part.ts'
import { stopPart } from './part.ts'

/** First pause before a restart, the longest one, and how long a part must live to be taken for healthy, in ms. */
const pauses = { first: 1_000, longest: 30_000, healthy: 60_000 }

/** What keeps running until it is stopped. */
export interface Supervised {
  readonly name: string
  /** How long it may take to end, in ms. */
  readonly grace: number
  readonly start: () => Promise<Part> | Part
}

export interface SupervisorOptions {
  /** Hears of every end and restart. */
  readonly say: (line: string) => void
  /** Called when a part ends in a way that a restart cannot mend. */
  readonly giveUp: (name: string, ending: Ending) => void
}

/** Exit status of a process whose configuration is refused or whose port is taken: the next one would be, too. */
const refused = 2

/** Starts parts in order, starts again what dies, and stops them in the order of their start, the first one last. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #kept: Kept[] = []
  #stopping = false

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** Starts a part and keeps it running. @throws what its first start throws */
  async add(supervised: Supervised): Promise<void> {
    const kept: Kept = {
      supervised,
      part: await supervised.start(),
      pause: pauses.first,
      timer: undefined,
      wasHealthy: false,
    }
    this.#kept.push(kept)
    this.#watch(kept)
  }

  /** The process of a part; undefined while it is being started again. */
  pidOf(name: string): number | undefined {
    return this.#kept.find(({ supervised }) => supervised.name === name)?.part?.process.pid
  }

  /** Stops every part, one after the other: the last that was added first. `hurry` kills what is left. */
  async stop(hurry?: AbortSignal): Promise<void> {
    this.#stopping = true
    for (const { timer } of this.#kept) clearTimeout(timer)
    for (const { part, supervised } of this.#kept.toReversed()) {
      if (part !== undefined) await stopPart(part, supervised.grace, hurry)
    }
  }

  #watch(kept: Kept): void {
    const { part, supervised } = kept
    const began = performance.now()
    void part?.ended.then((ending) => {
      if (this.#stopping) return
      kept.part = undefined
      const healthy = performance.now() - began >= pauses.healthy
      kept.wasHealthy ||= healthy
      // What a file that was broken since then refuses, a mended one allows.
      if (ending.status === refused && !kept.wasHealthy) {
        this.#options.giveUp(supervised.name, ending)
        return
      }
      if (healthy) kept.pause = pauses.first
      this.#again(kept, ending.words)
    })
  }

  #again(kept: Kept, why: string): void {
    const { supervised, pause } = kept
    this.#options.say(`The ${supervised.name} ${why}; it is started again in ${Math.round(pause / 1000)} s.`)
    kept.pause = Math.min(pause * 2, pauses.longest)
    kept.timer = setTimeout(() => void this.#restart(kept), pause)
  }

  async #restart(kept: Kept): Promise<void> {
    try {
      const part = await kept.supervised.start()
      kept.part = part
      if (this.#stopping) await stopPart(part, kept.supervised.grace)
      else this.#watch(kept)
    } catch (error) {
      if (!this.#stopping)
        this.#again(kept, `could not be started: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

interface Kept {
  readonly supervised: Supervised
  part: Part | undefined
  pause: number
  /** Whether it has once been up for as long as counts. */
  wasHealthy: boolean
  timer: NodeJS.Timeout | undefined
}
