import type { Storage } from './storage.ts'

/** Whoever keeps count of what passes, for all workers together: this room knows no queue. */
export interface Limiter {
  /** Resolves when so many more bytes may pass. */
  take(bytes: number): Promise<void>
}

/** `storage` with what is sent and read counted by `limiter`. What is read is counted afterwards, when its size is known. */
export function withBandwidth(storage: Storage, limiter: Limiter): Storage {
  return {
    name: storage.name,
    shown: storage.shown,
    async put(key, body) {
      await limiter.take(body.length)
      await storage.put(key, body)
    },
    async putIfAbsent(key, body) {
      await limiter.take(body.length)
      return storage.putIfAbsent(key, body)
    },
    async get(key, range) {
      const bytes = await storage.get(key, range)
      if (bytes !== undefined) await limiter.take(bytes.length)
      return bytes
    },
    stat: (key) => storage.stat(key),
    list: (prefix) => storage.list(prefix),
    delete: (key) => storage.delete(key),
    removeUnfinished: (prefix) => storage.removeUnfinished(prefix),
    now: () => storage.now(),
  }
}
