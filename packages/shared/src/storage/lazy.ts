import type { Locks, Storage, StoredObject } from './storage.ts'

/** What is known of a storage before its driver is loaded. */
export interface Known {
  readonly name: string
  readonly shown: string
  /** Of its locks, where it has any. */
  readonly spare: number | undefined
}

/**
 * A storage whose driver is loaded when it is first used: the libraries of a cloud take a second and 50 MB. Where that
 * failed, because the file of its credentials was not there yet, the next use tries again.
 */
export function lazily(known: Known, load: () => Promise<Storage>): Storage {
  let loading: Promise<Storage> | undefined
  const loaded = () =>
    (loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    }))
  return {
    name: known.name,
    shown: known.shown,
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
    locks: lazyLocks(known.spare, async () => (await loaded()).locks),
    until: (signal) => lazily(known, async () => (await loaded()).until(signal)),
  }
}

function lazyLocks(spare: number | undefined, loaded: () => Promise<Locks | undefined>): Locks | undefined {
  if (spare === undefined) return undefined
  return {
    spare,
    isLikeStored: async (key, time) => (await (await loaded())?.isLikeStored(key, time)) === true,
    renew: async (key) => (await loaded())?.renew(key),
  }
}
