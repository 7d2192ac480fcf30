import { either } from './signals.ts'
import type { Storage } from './storage.ts'

/** Whoever keeps count of what passes, for all workers together: this room knows no queue. */
export interface Limiter {
  /** Resolves when so many more bytes may pass. @throws once `signal` aborts */
  take(bytes: number, signal?: AbortSignal): Promise<void>
}

/** Reports, manifests and records, in bytes: whoever waits for them need not wait behind segments. */
const small = 64 * 1024

/** `storage` with what is sent and read counted by `limiter`. What is read is counted afterwards, when its size is known. */
export function withBandwidth(storage: Storage, limiter: Limiter, signal?: AbortSignal): Storage {
  const take = async ({ length }: Uint8Array) => {
    if (length > small) await limiter.take(length, signal)
  }
  return {
    name: storage.name,
    shown: storage.shown,
    async put(key, body) {
      await take(body)
      await storage.put(key, body)
    },
    async putIfAbsent(key, body) {
      await take(body)
      return storage.putIfAbsent(key, body)
    },
    async get(key, range) {
      const bytes = await storage.get(key, range)
      if (bytes !== undefined) await take(bytes)
      return bytes
    },
    stat: (key) => storage.stat(key),
    list: (prefix) => storage.list(prefix),
    delete: (key) => storage.delete(key),
    removeUnfinished: (prefix) => storage.removeUnfinished(prefix),
    now: () => storage.now(),
    locks: storage.locks,
    until: (until) => withBandwidth(storage.until(until), limiter, either(signal, until)),
  }
}
