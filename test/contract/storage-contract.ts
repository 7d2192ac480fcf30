import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Storage, StoredObject } from '@securyflex/shared/storage'

/** An empty place of a driver's, and how to leave it. */
export interface OpenedStorage {
  readonly storage: Storage
  close(): PromiseLike<void>
}

/** Keys that a repository could have, and some that it does not, but that are legal. */
const oddKeys = [
  'one',
  'shop/segments/ab/abcdef',
  'with space/and (brackets)',
  'Ünïcode/日本語/🐘',
  'quotes\'"/$HOME/`x`/%2F/a+b&c=d?e#f',
  '.hidden/.file',
  '...',
  'a/..b/c..',
  '-rf/--force',
  `long/${'x'.repeat(200)}`,
]

const illegalKeys = [
  '',
  '/',
  '/etc/passwd',
  '..',
  '../out',
  'a/../../out',
  'a/../b',
  './a',
  'a//b',
  'a/',
  'a/.',
  'a\0b',
]

/**
 * The promises of storage.ts, tried on a real place. Every driver runs this suite.
 * @param open gives an empty place; it is called once
 */
export function storageContract(name: string, open: () => Promise<OpenedStorage>): void {
  describe(`the promises of storage.ts, kept by ${name}`, () => {
    let opened: OpenedStorage
    let storage: Storage
    beforeAll(async () => {
      opened = await open()
      storage = opened.storage
    })
    afterAll(async () => {
      await opened.close()
    })

    const keysBelow = async (prefix: string): Promise<string[]> =>
      (await listed(storage, prefix)).map(({ key }) => key)

    describe('what is not there', () => {
      it('has no content, no size, and is in no listing', async () => {
        expect(await storage.get('nothing/here')).toBeUndefined()
        expect(await storage.stat('nothing/here')).toBeUndefined()
        expect(await keysBelow('nothing/')).toEqual([])
      })

      it('can be deleted, also twice', async () => {
        await storage.put('deleted', Buffer.from('x'))
        await storage.delete('deleted')
        await storage.delete('deleted')
        expect(await storage.get('deleted')).toBeUndefined()
      })

      it('is not the directory that other keys share', async () => {
        await storage.put('shared/part/object', Buffer.from('x'))
        expect(await storage.get('shared/part')).toBeUndefined()
        expect(await storage.stat('shared/part')).toBeUndefined()
      })
    })

    describe('put', () => {
      it.each([0, 1, 64 * 1024, 8 * 1024 * 1024 + 112, 64 * 1024 * 1024])(
        'keeps %i bytes as they are',
        async (size) => {
          const body = randomBytes(size)
          await storage.put(`sizes/${String(size)}`, body)
          expect(digest(await storage.get(`sizes/${String(size)}`))).toBe(digest(body))
          expect((await storage.stat(`sizes/${String(size)}`))?.size).toBe(size)
        },
      )

      it('replaces what is there', async () => {
        await storage.put('replaced', Buffer.from('a long first content'))
        await storage.put('replaced', Buffer.from('second'))
        expect((await storage.get('replaced'))?.toString()).toBe('second')
      })

      it('shows readers the old or the new content, never a part, while it replaces', async () => {
        const bodies = Array.from({ length: 8 }, (_, index) => Buffer.alloc(512 * 1024, index))
        await storage.put('contended', bodies[0] as Buffer)
        const stop = new AbortController()
        const reads = (async () => {
          const seen: boolean[] = []
          while (!stop.signal.aborted) {
            const read = await storage.get('contended')
            seen.push(read !== undefined && bodies.some((body) => body.equals(read)))
          }
          return seen
        })()
        await Promise.all(bodies.map((body) => storage.put('contended', body)))
        stop.abort()
        const seen = await reads
        expect(seen.length).toBeGreaterThan(0)
        expect(seen).not.toContain(false)
      })

      it('renews the age of an object', async () => {
        await storage.put('renewed', Buffer.from('x'))
        const before = await storage.stat('renewed')
        await storage.put('renewed', Buffer.from('x'))
        const after = await storage.stat('renewed')
        expect(after?.modified.getTime()).toBeGreaterThanOrEqual(before?.modified.getTime() ?? Infinity)
      })
    })

    describe('putIfAbsent', () => {
      it('stores what is not there and never replaces what is', async () => {
        expect(await storage.putIfAbsent('absent', Buffer.from('first'))).toBe(true)
        expect(await storage.putIfAbsent('absent', Buffer.from('second'))).toBe(false)
        expect((await storage.get('absent'))?.toString()).toBe('first')
      })

      it('takes an object of no bytes for one that is there', async () => {
        await storage.put('empty', Buffer.alloc(0))
        expect(await storage.putIfAbsent('empty', Buffer.from('x'))).toBe(false)
        expect((await storage.get('empty'))?.length).toBe(0)
      })

      it('lets exactly one of twenty writers win, and keeps the whole of what that one wrote', async () => {
        for (let round = 0; round < 5; round++) {
          const key = `race/${String(round)}`
          const bodies = Array.from({ length: 20 }, (_, writer) => Buffer.alloc(64 * 1024, writer))
          const won = await Promise.all(bodies.map((body) => storage.putIfAbsent(key, body)))
          const winners = won.flatMap((win, writer) => (win ? [writer] : []))
          expect(winners).toHaveLength(1)
          expect(digest(await storage.get(key))).toBe(digest(bodies[winners[0] ?? -1]))
        }
      })

      it('refuses a second writer with other content, and leaves one with the same content what is his', async () => {
        const [mine, other] = [randomBytes(1000), randomBytes(1000)]
        expect(await storage.putIfAbsent('once', mine)).toBe(true)
        expect(await storage.putIfAbsent('once', other)).toBe(false)
        expect(await storage.putIfAbsent('once', mine)).toBe(false)
        expect((await storage.get('once'))?.equals(mine)).toBe(true)
      })

      it('stores again what was deleted', async () => {
        await storage.putIfAbsent('again', Buffer.from('first'))
        await storage.delete('again')
        expect(await storage.putIfAbsent('again', Buffer.from('second'))).toBe(true)
      })
    })

    describe('a range', () => {
      const body = randomBytes(100_000)
      const part = async (start: number, length: number) => storage.get('ranged', { start, length })

      it('is that part of the object, as far as it goes', async () => {
        await storage.put('ranged', body)
        expect((await part(0, 1))?.equals(body.subarray(0, 1))).toBe(true)
        expect((await part(70_000, 200))?.equals(body.subarray(70_000, 70_200))).toBe(true)
        expect((await part(99_990, 200))?.equals(body.subarray(99_990))).toBe(true)
        expect((await part(0, 1_000_000))?.equals(body)).toBe(true)
      })

      it('has no bytes behind the end, and is nothing where nothing is', async () => {
        expect((await part(100_000, 10))?.length).toBe(0)
        await storage.put('ranged-empty', Buffer.alloc(0))
        expect((await storage.get('ranged-empty', { start: 0, length: 10 }))?.length).toBe(0)
        expect(await storage.get('ranged-nothing', { start: 0, length: 10 })).toBeUndefined()
      })
    })

    describe('list', () => {
      it('finds every one of 1,200 objects below a prefix, with its size', async () => {
        const keys = Array.from({ length: 1200 }, (_, index) => `many/${String(index % 16)}/${String(index)}`)
        for (let at = 0; at < keys.length; at += 50) {
          await Promise.all(keys.slice(at, at + 50).map((key) => storage.put(key, Buffer.from(key))))
        }
        const found = await listed(storage, 'many/')
        expect(found.map(({ key }) => key).sort()).toEqual([...keys].sort())
        expect(found.every(({ key, size }) => size === key.length)).toBe(true)
      })

      it('takes the prefix as text, not as a directory', async () => {
        for (const key of ['pre/fix', 'pre/fixed/deep', 'pre/fi', 'prefix', 'other/pre/fix']) {
          await storage.put(key, Buffer.from('x'))
        }
        expect((await keysBelow('pre/fix')).sort()).toEqual(['pre/fix', 'pre/fixed/deep'])
        expect((await keysBelow('pre')).sort()).toEqual(['pre/fi', 'pre/fix', 'pre/fixed/deep', 'prefix'])
        expect(await keysBelow('')).toContain('other/pre/fix')
      })

      it('tells ages by the clock that now() shows', async () => {
        const before = await storage.now()
        await storage.put('dated', Buffer.from('x'))
        const after = await storage.now()
        const [object] = await listed(storage, 'dated')
        // Places that keep whole seconds round down.
        expect(object?.modified.getTime()).toBeGreaterThanOrEqual(before.getTime() - 1000)
        expect(object?.modified.getTime()).toBeLessThanOrEqual(after.getTime() + 1000)
      })

      it('bears that objects come and go meanwhile', async () => {
        await Promise.all(
          Array.from({ length: 50 }, (_, index) => storage.put(`going/${String(index)}`, Buffer.from('x'))),
        )
        for await (const { key } of storage.list('going/')) {
          await storage.delete(key)
          await storage.delete(`going/${String(Math.floor(Math.random() * 50))}`)
        }
        await Promise.all(Array.from({ length: 50 }, (_, index) => storage.delete(`going/${String(index)}`)))
        expect(await keysBelow('going/')).toEqual([])
      })
    })

    describe('keys', () => {
      it.each(oddKeys)('may be %j', async (key) => {
        await storage.put(key, Buffer.from(key))
        expect((await storage.get(key))?.toString()).toBe(key)
        expect((await storage.stat(key))?.key).toBe(key)
        expect(await keysBelow(key)).toEqual([key])
        expect(await storage.putIfAbsent(key, Buffer.from('x'))).toBe(false)
        await storage.delete(key)
        expect(await keysBelow(key)).toEqual([])
      })

      it.each(illegalKeys)('are refused when they are %j', async (key) => {
        await expect(storage.put(key, Buffer.from('x'))).rejects.toThrow(TypeError)
        await expect(storage.putIfAbsent(key, Buffer.from('x'))).rejects.toThrow(TypeError)
        await expect(storage.get(key)).rejects.toThrow(TypeError)
        await expect(storage.stat(key)).rejects.toThrow(TypeError)
        await expect(storage.delete(key)).rejects.toThrow(TypeError)
      })

      it('do not leave the place in a listing', async () => {
        await expect(listed(storage, '../')).rejects.toThrow(TypeError)
        await expect(listed(storage, '/etc/')).rejects.toThrow(TypeError)
      })
    })
  })
}

async function listed(storage: Storage, prefix: string): Promise<StoredObject[]> {
  const objects: StoredObject[] = []
  for await (const object of storage.list(prefix)) objects.push(object)
  return objects
}

function digest(body: Uint8Array | undefined): string {
  return body === undefined ? 'nothing' : createHash('sha256').update(body).digest('hex')
}
