import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Destination } from '@securyflex/shared/config'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import { type FaultProxy, startFaultProxy } from '../helpers/fault-proxy.ts'
import { silentServer, untrustedServer } from '../helpers/bad-servers.ts'

/** A destination that is reached over HTTP. */
type Cloud = Exclude<Destination, { kind: 'local' }>

/** A server with an empty place, and how to speak of it. */
export interface OpenedCloud {
  readonly port: number
  /** The place, with everything allowed there. */
  readonly destination: Cloud
  /** The same, asked for at another address of the server: `http://127.0.0.1:1234`. */
  at(url: string): Cloud
  readonly wrongCredentials: readonly Cloud[]
  /** Credentials that may write, read and list. */
  readonly withoutDeletion: Cloud
  /** Credentials that may do nothing of this. */
  readonly without: Readonly<Partial<Record<'write' | 'read' | 'list', Cloud>>>
  readonly missing: Cloud
  close(): PromiseLike<void>
}

/** Of every connection in these tests: a second without a byte is too long. */
const patience = 1000

/**
 * What a driver makes of servers and lines that fail, tried on a real server with a proxy in front of it. Every driver
 * of a cloud runs this suite.
 */
export function cloudContract(name: string, open: () => Promise<OpenedCloud>): void {
  describe(`${name}, where things go wrong`, () => {
    let opened: OpenedCloud
    let proxy: FaultProxy
    let storage: Storage
    let direct: Storage
    beforeAll(async () => {
      opened = await open()
      proxy = await startFaultProxy(opened.port)
      storage = await openStorage({ ...opened.at(proxy.url), patience })
      direct = await openStorage(opened.destination)
      // Credentials that are fetched first are not what is tried.
      await storage.stat('nothing')
    })
    afterAll(async () => {
      await proxy[Symbol.asyncDispose]()
      await opened.close()
    })

    const body = randomBytes(3_000_000)
    const isThere = async (key: string) => (await direct.get(key))?.equals(body)
    /** The requests of `method` that came while `work` was done. */
    const during = async (method: string, work: () => Promise<unknown>) => {
      const before = proxy.seen.length
      await work()
      return proxy.seen.slice(before).filter((one) => one === method).length
    }
    const upload = () => (opened.destination.kind === 'gcs' ? 'POST' : 'PUT')

    it.each([429, 500, 502, 503])('tries again after %i', async (status) => {
      proxy.fail(upload(), { do: 'answer', status }, { do: 'answer', status })
      const key = `status/${String(status)}`
      expect(await during(upload(), () => storage.put(key, body))).toBe(3)
      expect(await isThere(key)).toBe(true)
      proxy.fail('GET', { do: 'answer', status })
      expect((await storage.get(key))?.equals(body)).toBe(true)
    })

    it('waits as long as Retry-After says', async () => {
      proxy.fail(upload(), { do: 'answer', status: 503, headers: { 'retry-after': '2' } })
      const began = performance.now()
      await storage.put('patient', body)
      expect(performance.now() - began).toBeGreaterThanOrEqual(2000)
    })

    it('does not wait for one that asks for an hour, and says what it asked for', async () => {
      proxy.fail(upload(), { do: 'answer', status: 503, headers: { 'retry-after': '3600' } })
      const stored = storage.put('impatient', body)
      await expect(stored).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE', retryAfter: 3_600_000 })
    })

    it('sends again what was cut off in the middle', async () => {
      proxy.fail(upload(), { do: 'cut request', after: 1_000_000 }, { do: 'cut request', after: 0 })
      expect(await during(upload(), () => storage.put('cut/up', body))).toBe(3)
      expect(await isThere('cut/up')).toBe(true)
    })

    it('reads again what was cut off in the middle', async () => {
      await direct.put('cut/down', body)
      proxy.fail('GET', { do: 'cut answer', after: 1_000_000 }, { do: 'cut answer', after: 0 })
      expect((await storage.get('cut/down'))?.equals(body)).toBe(true)
    })

    it('lists again what was cut off in the middle', async () => {
      await direct.put('cut/list/one', body)
      proxy.fail('GET', { do: 'cut answer', after: 20 })
      const found = await Array.fromAsync(storage.list('cut/list/'), ({ key }) => key)
      expect(found).toEqual(['cut/list/one'])
    })

    it('does not take its own first try for a success that it cannot see, and leaves the content as it is', async () => {
      proxy.fail(upload(), { do: 'lose answer' })
      // Whoever stores for good reads what is there, and finds that it is his.
      expect(await storage.putIfAbsent('lost', body)).toBe(false)
      expect(await isThere('lost')).toBe(true)
    })

    it('gives up a connection on which nothing moves, and tries another', async () => {
      proxy.fail(upload(), { do: 'silence' })
      expect(await during(upload(), () => storage.put('silent/up', body))).toBe(2)
      proxy.fail('GET', { do: 'silence' })
      expect((await storage.get('silent/up'))?.equals(body)).toBe(true)
    })

    it('is refused by the server when a bit is turned on the way, and sends it again', async () => {
      proxy.fail(upload(), { do: 'alter' })
      expect(await during(upload(), () => storage.put('altered', body))).toBe(2)
      expect(await isThere('altered')).toBe(true)
    })

    it('ends with STORAGE_UNREACHABLE where a server accepts and never answers', async () => {
      await using server = await silentServer()
      const silent = await openStorage({ ...opened.at(server.url), patience: 200 })
      await expect(silent.put('key', body)).rejects.toMatchObject({
        code: 'STORAGE_UNREACHABLE',
        message: expect.stringContaining(silent.shown),
      })
    })

    it.each([
      ['storing', (place: Storage) => place.put('key', body)],
      ['storing what may be there', (place: Storage) => place.putIfAbsent('key', body)],
      ['reading', (place: Storage) => place.get('key')],
      ['listing', (place: Storage) => Array.fromAsync(place.list('key'))],
    ])('gives a request up in the middle when it is told to: %s', async (_, call) => {
      await using server = await silentServer()
      const silent = await openStorage({ ...opened.at(server.url), patience: 600_000 })
      const stop = new AbortController()
      const called = call(silent.until(stop.signal))
      const ended = expect(called).rejects.toThrow('enough')
      await until(() => server.connections > 0)
      stop.abort(new Error('enough'))
      await ended
      await until(() => server.connections === 0)
      await expect(silent.until(stop.signal).get('key')).rejects.toThrow('enough')
    })

    it('says that a certificate is not accepted, and does not go on without it', async () => {
      await using server = await untrustedServer()
      const untrusted = await openStorage(opened.at(server.url))
      await expect(untrusted.get('key')).rejects.toMatchObject({
        code: 'STORAGE_REFUSED',
        message: expect.stringMatching(/certificate/),
        hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
      })
      expect(server.requests).toBe(0)
    })

    it('says that credentials are wrong', async () => {
      for (const destination of opened.wrongCredentials) {
        const wrong = await openStorage(destination)
        const refused = { code: 'STORAGE_REFUSED', message: expect.stringMatching(/credentials/) }
        await expect(wrong.put('key', body)).rejects.toMatchObject(refused)
        await expect(wrong.get('key')).rejects.toMatchObject({ code: 'STORAGE_REFUSED' })
      }
    })

    it('says that there is no such place', async () => {
      const nowhere = await openStorage(opened.missing)
      const refused = { code: 'STORAGE_REFUSED', message: expect.stringMatching(/does not exist\.$/) }
      await expect(nowhere.put('key', body)).rejects.toMatchObject(refused)
      await expect(nowhere.get('key')).rejects.toMatchObject(refused)
      await expect(Array.fromAsync(nowhere.list(''))).rejects.toMatchObject(refused)
    })

    it('says what credentials may not do, and everything else is done', async () => {
      const adding = await openStorage(opened.withoutDeletion)
      expect(await adding.putIfAbsent('kept', body)).toBe(true)
      expect((await adding.get('kept'))?.equals(body)).toBe(true)
      expect(await Array.fromAsync(adding.list('kept'), ({ key }) => key)).toEqual(['kept'])
      const refusal = (what: string) => ({
        code: 'STORAGE_REFUSED',
        message: expect.stringMatching(new RegExp(`may not ${what}`)),
      })
      await expect(adding.delete('kept')).rejects.toMatchObject(refusal('delete'))
      expect(await isThere('kept')).toBe(true)
      const { write, read, list } = opened.without
      if (write !== undefined) {
        await expect((await openStorage(write)).put('unwritten', body)).rejects.toMatchObject(
          refusal('write'),
        )
        expect(await direct.get('unwritten')).toBeUndefined()
      }
      if (read !== undefined)
        await expect((await openStorage(read)).get('kept')).rejects.toMatchObject(refusal('read'))
      if (list !== undefined) {
        const listing = Array.fromAsync((await openStorage(list)).list('kept'))
        await expect(listing).rejects.toMatchObject(refusal('list'))
      }
    })

    it('sends at once no more than it is given: memory does not grow with what was stored before', async () => {
      const large = randomBytes(8 * 2 ** 20)
      const before = await settledMemory()
      for (let number = 0; number < 40; number++) await storage.put('memory', large)
      expect((await settledMemory()) - before).toBeLessThan(10 * large.length)
    })
  })
}

/** Bytes outside of the heap, where bodies are, after what nobody holds was collected. */
async function settledMemory(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().arrayBuffers
}

/** Waits for what other processes or the system do. */
async function until(is: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!is()) {
    if (Date.now() > deadline) throw new Error('it did not come to that')
    await wait(10)
  }
}
