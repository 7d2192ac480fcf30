import { discard, type ListEntry, type SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { inParallel } from './in-parallel.ts'
import { isKnown, layout, segmentIdOf } from './layout.ts'
import type { Opener } from './opener.ts'
import { shardOf } from './shards.ts'
import { Troubles } from './troubles.ts'

/** Segments that are read back at a time: each is held in memory. */
const parallel = 4
/** Unknown objects that are told by name. */
const mostNames = 100

/** Reads back what a source has at one place, and notes what is wrong with it. */
export class ReadingBack {
  readonly troubles = new Troubles()
  readonly unknown = { count: 0, names: new Array<string>() }
  opened = 0
  bytes = 0
  /** Whether the place has anything of the source. */
  anything = false
  readonly #storage: Storage
  readonly #source: string
  readonly #opener: Opener
  readonly #signal: AbortSignal

  constructor(storage: Storage, source: string, opener: Opener, signal: AbortSignal) {
    this.#storage = storage
    this.#source = source
    this.#opener = opener
    this.#signal = signal
  }

  /** Opens every segment that lies in these shards, and looks for those that are named there and were not listed. */
  async read(shards: ReadonlySet<number>, named: SegmentIndex): Promise<void> {
    const seen = new Uint8Array(named.size)
    await inParallel(this.#storage.list(`${this.#source}/`), parallel, async ({ key }) => {
      this.#signal.throwIfAborted()
      this.anything = true
      if (!isKnown(this.#source, key)) this.#tell(key)
      const id = isKnown(this.#source, key) ? segmentIdOf(key) : undefined
      if (id === undefined || !shards.has(shardOf(id))) return
      const at = named.indexOf(id)
      if (at !== undefined) seen[at] = 1
      await this.#open(id, named.get(id))
    })
    const unseen = [...named].filter((_, at) => seen[at] === 0)
    await inParallel(given(unseen), parallel, async (entry) => {
      this.#signal.throwIfAborted()
      await this.#open(entry.id, entry)
    })
  }

  async #open(id: Buffer, named: ListEntry | undefined): Promise<void> {
    const name = layout.segment(this.#source, id)
    const sealed = await this.#storage.get(name)
    if (sealed === undefined) {
      if (named !== undefined) this.troubles.add(id, 'missing', named)
      return
    }
    this.opened += 1
    this.bytes += sealed.length
    const verdict = await this.#opener.judge(id, sealed, named)
    discard(sealed)
    if (verdict === 'unknown') this.#tell(name)
    else if (verdict !== 'good') this.troubles.add(id, verdict, named)
  }

  #tell(name: string): void {
    this.unknown.count += 1
    if (this.unknown.names.length < mostNames) this.unknown.names.push(name)
  }
}

async function* given<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) yield await Promise.resolve(item)
}
