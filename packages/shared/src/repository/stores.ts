import { BackupError } from '@securyflex/shared/errors'
import type { Storage } from '@securyflex/shared/storage'

/** Several stores that something is done with, and those among them with which it cannot be done. */
export class Stores {
  /** Why each of them is left out. */
  readonly unusable = new Map<Storage, BackupError>()
  readonly #all: readonly Storage[]

  constructor(storages: readonly Storage[]) {
    this.#all = storages
  }

  /** Those that did all that was asked of them so far, in their order. */
  get usable(): readonly Storage[] {
    return this.#all.filter((storage) => !this.unusable.has(storage))
  }

  /**
   * Does `work` with all that are usable, at once, and gives what came of it where it was done.
   * @throws what one of them said if none is left; what may pass, if there is such a thing
   */
  async each<T>(work: (storage: Storage) => Promise<T>): Promise<T[]> {
    const done = await Promise.all(this.usable.map((storage) => this.#try(storage, work)))
    this.#refuseNone()
    return done.flat()
  }

  /** Does `work` with one of them. @throws as {@link each} */
  async one(storage: Storage, work: (storage: Storage) => Promise<void>): Promise<void> {
    await this.#try(storage, work)
    this.#refuseNone()
  }

  async #try<T>(storage: Storage, work: (storage: Storage) => Promise<T>): Promise<[T] | []> {
    try {
      return [await work(storage)]
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      this.unusable.set(storage, error)
      return []
    }
  }

  #refuseNone(): void {
    const troubles = this.#all.flatMap((storage) => this.unusable.get(storage) ?? [])
    const [first] = troubles
    if (first === undefined || troubles.length < this.#all.length) return
    throw troubles.find((trouble) => trouble.class === 'transient') ?? first
  }
}
