import type { Storage, StoredObject } from '@securyflex/shared/storage'

interface Held {
  readonly body: Buffer
  readonly modified: number
}

/** A place that keeps its promises, in memory, with a clock that only the test moves. */
export class MemoryStorage implements Storage {
  readonly name: string
  readonly shown = 'memory'
  readonly objects = new Map<string, Held>()
  readonly #clock: () => number
  readonly #written: (key: string) => void

  /** @param written told of each object that is written */
  constructor(name: string, clock: () => number, written: (key: string) => void) {
    this.name = name
    this.#clock = clock
    this.#written = written
  }

  put(key: string, body: Uint8Array): Promise<void> {
    this.objects.set(key, { body: Buffer.from(body), modified: this.#clock() })
    this.#written(key)
    return Promise.resolve()
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    if (this.objects.has(key)) return false
    await this.put(key, body)
    return true
  }

  /** A copy: who reads an object may give its memory away. */
  get(key: string): Promise<Buffer | undefined> {
    const held = this.objects.get(key)
    return Promise.resolve(held === undefined ? undefined : Buffer.from(held.body))
  }

  stat(key: string): Promise<StoredObject | undefined> {
    const held = this.objects.get(key)
    const { length: size = 0 } = held?.body ?? {}
    return Promise.resolve(held && { key, size, modified: new Date(held.modified) })
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    for (const key of [...this.objects.keys()].filter((one) => one.startsWith(prefix)).sort()) {
      const found = await this.stat(key)
      if (found !== undefined) yield found
    }
  }

  delete(key: string): Promise<void> {
    this.objects.delete(key)
    return Promise.resolve()
  }

  removeUnfinished(): Promise<number> {
    return Promise.resolve(0)
  }

  now(): Promise<Date> {
    return Promise.resolve(new Date(this.#clock()))
  }

  /** No call takes long enough to be given up. */
  until(): Storage {
    return this
  }
}
