import { setTimeout as delay } from 'node:timers/promises'
import { BackupError } from '@securyflex/shared/errors'
import { either, unlessAborted } from './signals.ts'
import type { Locks, Storage, StoredObject } from './storage.ts'

/** How often and how long apart a transient failure is tried again. */
export interface RetryPolicy {
  readonly attempts: number
  /** Before the second attempt, in ms; doubled for each further one, with up to half as jitter. */
  readonly firstDelay: number
  /** The longest wait that a place may ask for, in ms; who asks for more is not tried again. Default: two minutes. */
  readonly longestWait?: number
  /**
   * How long the tries of one call may take together, waits left out, in ms; default: a minute. A place that is silent
   * for that long will be in half a second, too: whoever asked for the call knows what to do about that.
   */
  readonly patience?: number
  readonly signal?: AbortSignal
}

/** `storage` with transient failures tried again, as its contract allows for every call. */
export function withRetries(storage: Storage, policy: RetryPolicy): Storage {
  const retried = <T>(call: () => Promise<T>) => retry(call, policy)
  return {
    name: storage.name,
    shown: storage.shown,
    put: (key, body) => retried(() => storage.put(key, body)),
    putIfAbsent: (key, body) => retried(() => storage.putIfAbsent(key, body)),
    get: (key, range) => retried(() => storage.get(key, range)),
    stat: (key) => retried(() => storage.stat(key)),
    list: (prefix) => listOnceComplete(storage, prefix, retried),
    delete: (key) => retried(() => storage.delete(key)),
    removeUnfinished: (prefix) => retried(() => storage.removeUnfinished(prefix)),
    now: () => retried(() => storage.now()),
    locks: retriedLocks(storage.locks, retried),
    until: (signal) =>
      withRetries(storage.until(signal), { ...policy, signal: either(policy.signal, signal) }),
  }
}

function retriedLocks(
  locks: Locks | undefined,
  retried: <T>(call: () => Promise<T>) => Promise<T>,
): Locks | undefined {
  if (locks === undefined) return undefined
  return {
    spare: locks.spare,
    isLikeStored: (key, time) => retried(() => locks.isLikeStored(key, time)),
    renew: (key) => retried(() => locks.renew(key)),
  }
}

/** A listing cannot resume in the middle: what was given out already is left out of the repetition. */
async function* listOnceComplete(
  storage: Storage,
  prefix: string,
  retried: <T>(call: () => Promise<T>) => Promise<T>,
): AsyncGenerator<StoredObject> {
  const given = new Set<string>()
  let entries = storage.list(prefix)[Symbol.asyncIterator]()
  const next = async () => {
    try {
      return await entries.next()
    } catch (error) {
      entries = storage.list(prefix)[Symbol.asyncIterator]()
      throw error
    }
  }
  for (;;) {
    const entry = await retried(next)
    if (entry.done === true) return
    if (given.has(entry.value.key)) continue
    given.add(entry.value.key)
    yield entry.value
  }
}

async function retry<T>(call: () => Promise<T>, policy: RetryPolicy): Promise<T> {
  const { attempts, firstDelay, longestWait = 120_000, patience = 60_000, signal } = policy
  let spent = 0
  for (let attempt = 1; ; attempt++) {
    const began = performance.now()
    try {
      return await unlessAborted(call, signal)
    } catch (error) {
      signal?.throwIfAborted()
      spent += performance.now() - began
      // What is no BackupError is a mistake in the program, a key that is none, say.
      if (!(error instanceof BackupError) || error.class !== 'transient' || attempt >= attempts) throw error
      if (spent >= patience) throw error
      const asked = error.retryAfter ?? 0
      if (asked > longestWait) throw error
      const wait = Math.max(asked, firstDelay * 2 ** (attempt - 1) * (1 + Math.random() / 2))
      await unlessAborted(() => delay(wait), signal)
    }
  }
}
