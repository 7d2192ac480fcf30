import type { Storage, StoredObject } from './storage.ts'

/** A storage whose driver is loaded when it is first used: the libraries of a cloud take a second and 50 MB. */
export function lazily(name: string, shown: string, load: () => Promise<Storage>): Storage {
  let loading: Promise<Storage> | undefined
  const loaded = () => (loading ??= load())
  return {
    name,
    shown,
    put: async (key, body) => (await loaded()).put(key, body),
    putIfAbsent: async (key, body) => (await loaded()).putIfAbsent(key, body),
    get: async (key, range) => (await loaded()).get(key, range),
    stat: async (key) => (await loaded()).stat(key),
    async *list(prefix): AsyncGenerator<StoredObject> {
      yield* (await loaded()).list(prefix)
    },
    delete: async (key) => (await loaded()).delete(key),
    removeUnfinished: async (prefix) => (await loaded()).removeUnfinished(prefix),
    now: async () => (await loaded()).now(),
    until: (signal) => lazily(name, shown, async () => (await loaded()).until(signal)),
  }
}
