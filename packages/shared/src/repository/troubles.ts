import type { ListEntry } from '@securyflex/shared/segments'
import type { Fate } from './mending.ts'
import type { Naming } from './naming.ts'
import { shardOf } from './shards.ts'

/** How a segment was found. */
export type Ill = 'missing' | 'truncated' | 'altered'

/** Backups that are named one by one for a segment. */
const mostRuns = 10

/** A segment that was found missing or bad, and what came of it. */
export interface Trouble {
  readonly id: Buffer
  readonly what: Ill
  /** What a backup knows of it; undefined if none named it when the scrub began. */
  readonly entry: ListEntry | undefined
  /** How many backups name it. */
  backups: number
  /** The newest of them. */
  readonly runs: string[]
  fate: Fate | undefined
}

/** What a scrub found, and which backups it touches. */
export class Troubles {
  /** Backups that name one of them. */
  readonly touched = new Set<string>()
  readonly #found = new Map<string, Trouble>()

  /** The first word about a segment holds. */
  add(id: Buffer, what: Ill, entry: ListEntry | undefined): void {
    const digits = id.toString('hex')
    if (this.#found.has(digits)) return
    this.#found.set(digits, { id: Buffer.from(id), what, entry, backups: 0, runs: [], fate: undefined })
  }

  [Symbol.iterator](): IterableIterator<Trouble> {
    return this.#found.values()
  }

  /**
   * Finds the backups that name them, as they are now. What is missing and named no more was no trouble: a prune
   * removed it between two looks.
   */
  async attribute(naming: Naming): Promise<void> {
    for await (const [run, trouble] of this.#namedNow(naming)) {
      trouble.backups += 1
      if (trouble.runs.length < mostRuns) trouble.runs.push(run)
      this.touched.add(run)
    }
    for (const [digits, { what, backups }] of this.#found) {
      if (what === 'missing' && backups === 0) this.#found.delete(digits)
    }
  }

  /**
   * By shard, the backups that name what is missing or bad still, those included that were sealed meanwhile. A backup of
   * which it is not known what it names may name what no other does.
   */
  async unhealed(naming: Naming): Promise<Map<number, string[]>> {
    const byShard = new Map<number, Set<string>>()
    const nameless = new Set([...this].filter(({ fate }) => isBadStill(fate)))
    const note = ({ id }: Trouble, run: string) =>
      byShard.set(shardOf(id), (byShard.get(shardOf(id)) ?? new Set()).add(run))
    for await (const [run, trouble] of this.#namedNow(naming)) {
      nameless.delete(trouble)
      if (isBadStill(trouble.fate)) note(trouble, run)
    }
    for (const trouble of nameless) for (const run of naming.incomplete) note(trouble, run)
    return new Map([...byShard].map(([shard, runs]) => [shard, [...runs]]))
  }

  /** Each with each backup that names it, the newest first. */
  async *#namedNow(naming: Naming): AsyncGenerator<[string, Trouble]> {
    if (this.#found.size === 0) return
    const last = new Map<Trouble, string>()
    for await (const { run, entry } of naming.walk()) {
      const trouble = this.#found.get(entry.id.toString('hex'))
      if (trouble === undefined || last.get(trouble) === run) continue
      last.set(trouble, run)
      yield [run, trouble]
    }
  }
}

const isBadStill = (fate: Fate | undefined) => fate?.outcome !== 'healed' && fate?.outcome !== 'whole'
