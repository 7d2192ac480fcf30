import { setTimeout as delay } from 'node:timers/promises'
import { either } from './signals.ts'
import type { Storage } from './storage.ts'

/** Whoever keeps count of what passes, for all workers together or for one process: this room knows no queue. */
export interface Limiter {
  /** Resolves when so many more bytes may pass. @throws once `signal` aborts */
  take(bytes: number, signal?: AbortSignal): Promise<void>
}

/** What a line that was idle may catch up with, in ms of its rate: the first object need not wait. */
const burst = 1000

/**
 * A line of this process alone, for as many bytes a second: each waits until those before it have passed.
 * @param rate bytes a second
 */
export function ownLine(rate: number): Limiter {
  let free = Number.NEGATIVE_INFINITY
  return {
    async take(bytes, signal) {
      const now = performance.now()
      const begin = Math.max(free, now - burst)
      free = begin + (bytes * 1000) / rate
      if (begin > now) await delay(begin - now, undefined, signal === undefined ? {} : { signal })
    },
  }
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
