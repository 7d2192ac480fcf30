import { BackupError } from '@securyflex/shared/errors'
import type { Storage, StoredObject } from '@securyflex/shared/storage'
import type { MemoryStorage } from './memory-storage.ts'
import type { Turns } from './turns.ts'

/** What a process that was killed throws from then on; it is no error of the product's. */
export class Killed extends Error {}

/** What may happen to the calls of one process. */
export interface Trouble {
  readonly chance: () => number
  /** How many of a thousand calls go wrong. */
  readonly faults: number
  /** How many calls it does before it is killed; undefined: it lives. */
  readonly killedAfter: number | undefined
  /** Whether its credentials may remove what is there. */
  readonly mayRemove: boolean
}

/** What became of a write that the place called done. */
export type Lie = 'lost' | 'cut off'

/** Objects whose damage stops an installation for good, and is noticed at once, are not lied about. */
const isVital = (key: string) => /^(?:repository\.|keys\/)/.test(key)

/**
 * What one process sees of a place: calls fail before or after they are done, writes are cut off, lost or done twice
 * and called done, deletes are called done and are not, listings break in the middle, and after so many calls the
 * process is dead.
 * @param heard told of each object that is not as the place said it was, and of one that was stored again between a
 *   process's last look at it and its removal: no place here can refuse that
 */
export function faultyStorage(
  place: MemoryStorage,
  turns: Turns,
  { chance, faults, killedAfter = Infinity, mayRemove }: Trouble,
  heard: { readonly lied: (key: string, lie: Lie) => void; readonly raced: (key: string) => void },
): Storage {
  let calls = 0
  const looked = new Map<string, number>()
  const alive = () => {
    if (calls > killedAfter) throw new Killed('killed')
  }
  const passing = () =>
    new BackupError('STORAGE_UNREACHABLE', 'The place does not answer.', { hint: 'Wait.' })
  const goesWrong = () => chance() * 1000 < faults
  /** A call that may be killed, or fail, before or after it has its effect. */
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    await turns.turn()
    alive()
    calls += 1
    if (calls > killedAfter) {
      if (chance() < 0.5) await work()
      throw new Killed('killed')
    }
    if (!goesWrong()) {
      const result = await work()
      await turns.turn()
      alive()
      return result
    }
    if (chance() < 0.5) await work()
    throw passing()
  }
  /** Writes all of it, or a part, or nothing, and calls it done. */
  const write = async (key: string, body: Uint8Array) => {
    const lie = isVital(key) || chance() * 2000 >= faults ? undefined : chance() < 0.5 ? 'lost' : 'cut off'
    if (lie !== 'lost') {
      const arrived = lie === undefined ? body : body.subarray(0, Math.floor(chance() * body.length))
      await place.put(key, arrived)
    }
    if (lie !== undefined) heard.lied(key, lie)
  }
  const faulty: Storage = {
    name: place.name,
    shown: place.shown,
    put: (key, body) =>
      call(async () => {
        await write(key, body)
        if (goesWrong()) await write(key, body)
      }),
    putIfAbsent: (key, body) =>
      call(async () => {
        if (place.objects.has(key)) return false
        await write(key, body)
        return true
      }),
    get: (key) => call(() => place.get(key)),
    stat: (key) =>
      call(async () => {
        const found = await place.stat(key)
        if (found !== undefined) looked.set(key, found.modified.getTime())
        return found
      }),
    delete: (key) =>
      call(async () => {
        if (!mayRemove) throw new BackupError('STORAGE_REFUSED', 'It may not be removed.', { hint: 'Ask.' })
        if (chance() * 2000 < faults) return
        const [before, now] = [looked.get(key), place.objects.get(key)?.modified]
        if (before !== undefined && now !== undefined && before !== now) heard.raced(key)
        await place.delete(key)
      }),
    removeUnfinished: () => call(() => place.removeUnfinished()),
    now: () => call(() => place.now()),
    async *list(prefix): AsyncGenerator<StoredObject> {
      await call(() => Promise.resolve())
      for await (const object of place.list(prefix)) {
        alive()
        if (chance() * 10_000 < faults) throw passing()
        if (chance() < 0.2) await turns.turn()
        yield object
      }
    },
    until: () => faulty,
  }
  return faulty
}
