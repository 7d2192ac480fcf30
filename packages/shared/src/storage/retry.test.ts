import { describe, expect, it } from '@jest/globals'
import { BackupError, type ErrorCode } from '@securyflex/shared/errors'
import { withRetries } from './retry.ts'
import type { Storage, StoredObject } from './storage.ts'

const transient = () => new BackupError('STORAGE_UNREACHABLE', 'The line is down.')
const policy = { attempts: 4, firstDelay: 0 }

/** A stand-in whose calls fail as often as told; retrying is all that is tried here. */
function failing(times: number, error: () => Error = transient) {
  const calls: string[] = []
  const attempt = <T>(name: string, result: T): Promise<T> => {
    calls.push(name)
    return calls.length <= times ? Promise.reject(error()) : Promise.resolve(result)
  }
  const storage: Storage = {
    name: 'failing',
    shown: 'nowhere',
    put: () => attempt('put', undefined),
    putIfAbsent: () => attempt('putIfAbsent', true),
    get: () => attempt('get', Buffer.from('x')),
    stat: () => attempt('stat', undefined),
    delete: () => attempt('delete', undefined),
    removeUnfinished: () => attempt('removeUnfinished', 0),
    now: () => attempt('now', new Date(0)),
    until: () => storage,
    list: () => {
      throw new Error('not listed here')
    },
  }
  return { storage, calls }
}

describe('a storage with retries', () => {
  it.each([
    ['put', (storage: Storage) => storage.put('key', Buffer.from('x')), undefined],
    ['putIfAbsent', (storage: Storage) => storage.putIfAbsent('key', Buffer.from('x')), true],
    ['get', (storage: Storage) => storage.get('key'), Buffer.from('x')],
    ['stat', (storage: Storage) => storage.stat('key'), undefined],
    ['delete', (storage: Storage) => storage.delete('key'), undefined],
    ['now', (storage: Storage) => storage.now(), new Date(0)],
  ])('repeats %s after transient failures', async (name, call, result) => {
    const { storage, calls } = failing(3)
    expect(await call(withRetries(storage, policy))).toEqual(result)
    expect(calls).toEqual([name, name, name, name])
  })

  it('gives up after the last attempt with the last error', async () => {
    const { storage, calls } = failing(10)
    await expect(withRetries(storage, policy).get('key')).rejects.toMatchObject({
      code: 'STORAGE_UNREACHABLE',
    })
    expect(calls).toHaveLength(4)
  })

  it.each<ErrorCode>(['STORAGE_REFUSED', 'STORAGE_FULL', 'KEY_WRONG'])('does not repeat %s', async (code) => {
    const { storage, calls } = failing(10, () => new BackupError(code, 'No.'))
    await expect(withRetries(storage, policy).get('key')).rejects.toMatchObject({ code })
    expect(calls).toHaveLength(1)
  })

  it('does not repeat a mistake of the program', async () => {
    const { storage, calls } = failing(10, () => new TypeError('not a key'))
    await expect(withRetries(storage, policy).get('../key')).rejects.toThrow(TypeError)
    expect(calls).toHaveLength(1)
  })

  it('stops waiting when it is told to', async () => {
    const stop = new AbortController()
    const { storage } = failing(10)
    const got = withRetries(storage, { attempts: 4, firstDelay: 60_000, signal: stop.signal }).get('key')
    stop.abort()
    await expect(got).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('ends a call that does not end by itself when it is told to, with the reason', async () => {
    const stop = new AbortController()
    const { storage } = failing(0)
    const silent = { ...storage, get: () => new Promise<never>(() => undefined), until: () => silent }
    const got = withRetries(silent, policy).until(stop.signal).get('key')
    stop.abort(new Error('enough'))
    await expect(got).rejects.toThrow('enough')
    await expect(withRetries(silent, policy).until(stop.signal).get('key')).rejects.toThrow('enough')
  })

  it('does not repeat what took longer to fail than its patience', async () => {
    const { storage, calls } = failing(10)
    await expect(withRetries(storage, { ...policy, patience: 0 }).get('key')).rejects.toMatchObject({
      code: 'STORAGE_UNREACHABLE',
    })
    expect(calls).toHaveLength(1)
  })

  it('keeps the name and the shown place', () => {
    const { name, shown } = withRetries(failing(0).storage, policy)
    expect([name, shown]).toEqual(['failing', 'nowhere'])
  })
})

describe('a listing with retries', () => {
  const keys = Array.from({ length: 10 }, (_, index) => `key-${String(index)}`)

  /** Lists the keys, each time in another order, and fails before giving the one after so many. */
  function breaking(failAfter: number[], error: () => Error = transient) {
    let listings = 0
    const storage: Storage = {
      ...failing(0).storage,
      async *list(): AsyncGenerator<StoredObject> {
        const failAt = failAfter[listings] ?? Infinity
        const rotated = [...keys.slice(listings), ...keys.slice(0, listings)]
        listings += 1
        for (const [index, key] of rotated.entries()) {
          if (index === failAt) throw await Promise.resolve(error())
          yield { key, size: 1, modified: new Date(0) }
        }
      },
    }
    return { storage: withRetries(storage, policy), listings: () => listings }
  }

  const all = async (storage: Storage): Promise<string[]> => {
    const found: string[] = []
    for await (const { key } of storage.list('')) found.push(key)
    return found
  }

  it.each([[[0]], [[5]], [[9]], [[3, 7, 1]], [[0, 0, 0]]])(
    'gives every object once when it breaks at %j',
    async (failAfter) => {
      const { storage, listings } = breaking(failAfter)
      expect((await all(storage)).sort()).toEqual(keys)
      expect(listings()).toBe(failAfter.length + 1)
    },
  )

  it('ends with the error when it breaks each time before anything new came', async () => {
    const { storage } = breaking([0, 0, 0, 0, 0])
    await expect(all(storage)).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  })

  it('is not repeated after a permanent failure', async () => {
    const { storage, listings } = breaking([4, 4], () => new BackupError('STORAGE_REFUSED', 'No.'))
    await expect(all(storage)).rejects.toMatchObject({ code: 'STORAGE_REFUSED' })
    expect(listings()).toBe(1)
  })
})
