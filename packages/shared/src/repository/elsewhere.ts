import { BackupError } from '@securyflex/shared/errors'
import type { Storage } from '@securyflex/shared/storage'
import { layout } from './layout.ts'
import type { Opener } from './opener.ts'

/** A whole segment at another place. */
interface FoundElsewhere {
  readonly sealed: Buffer
  /** May share memory with `sealed`. */
  readonly plain: Buffer
  /** The name of the destination. */
  readonly from: string
}

/** The other destinations of a source, which may have what is bad at one. */
export class Elsewhere {
  /** Those that could not be asked, and why. One that is dead is asked once, not for every segment. */
  readonly silent = new Map<string, string>()
  readonly #places: readonly Storage[]
  readonly #source: string
  readonly #opener: Opener
  readonly #signal: AbortSignal

  constructor(places: readonly Storage[], source: string, opener: Opener, signal: AbortSignal) {
    this.#places = places.map((place) => place.until(signal))
    this.#source = source
    this.#opener = opener
    this.#signal = signal
  }

  /** The segment as the first place has it that has it whole. */
  async find(id: Buffer): Promise<FoundElsewhere | undefined> {
    for (const place of this.#places) {
      if (this.silent.has(place.name)) continue
      const found = await this.#at(place, id)
      if (found !== undefined) return found
    }
    return undefined
  }

  async #at(place: Storage, id: Buffer): Promise<FoundElsewhere | undefined> {
    try {
      const sealed = await place.get(layout.segment(this.#source, id))
      if (sealed === undefined) return undefined
      return { sealed, plain: await this.#opener.open(id, sealed), from: place.name }
    } catch (error) {
      this.#signal.throwIfAborted()
      if (!(error instanceof BackupError)) throw error
      if (error.code.startsWith('STORAGE_')) this.silent.set(place.name, error.message)
      else if (error.class === 'transient') throw error
      return undefined
    }
  }
}
