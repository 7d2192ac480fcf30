import { BackupError } from '@securyflex/shared/errors'
import type { Storage, StoredObject } from '@securyflex/shared/storage'

/** Removes objects and counts what became of it. A lock or a missing right is an answer, not an error. */
export class Removal {
  readonly #storage: Storage
  #locked = 0
  #denied: string | undefined

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** Objects that the store holds for now (object lock). */
  get locked(): number {
    return this.#locked
  }

  /** Why nothing can be removed there at all; undefined while nothing says so. */
  get denied(): string | undefined {
    return this.#denied
  }

  /** Whether the object is gone. Once the store has said that these credentials may not, it is asked no more. */
  async remove({ key }: Pick<StoredObject, 'key'>): Promise<boolean> {
    return this.#answered(() => this.#storage.delete(key))
  }

  /** Removes what is of no use; that the store holds it is not counted. */
  async forget({ key }: Pick<StoredObject, 'key'>): Promise<void> {
    const locked = this.#locked
    await this.#answered(() => this.#storage.delete(key))
    this.#locked = locked
  }

  /** Has killed writers' unfinished objects below `prefix` removed. */
  async removeUnfinished(prefix: string): Promise<boolean> {
    return this.#answered(() => this.#storage.removeUnfinished(prefix))
  }

  async #answered(ask: () => Promise<unknown>): Promise<boolean> {
    if (this.#denied !== undefined) return false
    try {
      await ask()
      return true
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      if (error.code === 'STORAGE_LOCKED') this.#locked += 1
      else if (error.code === 'STORAGE_REFUSED') this.#denied = error.message
      else throw error
      return false
    }
  }
}
