import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { loadConfig, type Source } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { readReport, type RunReport, writeReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import type { Logger } from '@securyflex/shared/logging'
import { begunRuns, noteBegun, Queues, requestRun } from '@securyflex/shared/queue'
import { newRunId, parseRunId } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../test/helpers/redis.ts'
import { reconcile, type ReconcilerContext } from './reconciler.ts'

const many = 1000
const names = Array.from({ length: many }, (_, index) => `shop-${String(index + 1)}`)
const keys = new KeyRing({ current: undefined, previous: [] })
const now = new Date('2026-11-23T05:00:00Z')

let server: TestRedis
let redis: Redis
let queues: Queues

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url, { maxRetriesPerRequest: null })
  queues = new Queues(redis, 10)
})
afterAll(async () => {
  await queues.close()
  redis.disconnect()
  await server.stop()
})
beforeEach(() => redis.flushall())

/** A store in memory, which counts what is asked of it. */
class CountingStorage implements Storage {
  readonly name: string
  readonly shown = 'memory'
  readonly objects = new Map<string, Buffer>()
  requests = 0
  silent = false

  constructor(name: string) {
    this.name = name
  }

  #answer(): Promise<void> {
    this.requests += 1
    return this.silent ? Promise.reject(new BackupError('STORAGE_UNREACHABLE', 'Away.')) : Promise.resolve()
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#answer()
    this.objects.set(key, Buffer.from(body))
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    if (this.objects.has(key)) return false
    await this.put(key, body)
    return true
  }

  async get(key: string): Promise<Buffer | undefined> {
    await this.#answer()
    return this.objects.get(key)
  }

  async stat(key: string) {
    const size = (await this.get(key))?.length
    return size === undefined ? undefined : { key, size, modified: now }
  }

  async *list(prefix: string) {
    await this.#answer()
    const found = [...this.objects].filter(([key]) => key.startsWith(prefix))
    for (const [key, { length }] of found) yield { key, size: length, modified: now }
  }

  async delete(key: string): Promise<void> {
    await this.#answer()
    this.objects.delete(key)
  }

  removeUnfinished(): Promise<number> {
    return Promise.resolve(0)
  }

  now(): Promise<Date> {
    return Promise.resolve(now)
  }

  until(): Storage {
    return this
  }
}

const quiet: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => quiet,
  close: () => Promise.resolve(),
}

function context(...storages: Storage[]): ReconcilerContext {
  const env = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/shop', REDIS_URL: server.url }
  const config = loadConfig({ env, directory: '/', needs: [] })
  const [first] = config.sources
  const sources = names.map((name) => ({ ...(first as Source), name }))
  return { config: { ...config, sources }, queues, storages, keys, logger: quiet, clock: () => now }
}

function reportOf(source: string, at: Date, outcome: RunReport['outcome']): RunReport {
  return {
    format: 1,
    kind: 'run',
    run: newRunId(source, at),
    source,
    outcome,
    requestedBy: 'test',
    requestedAt: at.toISOString(),
    startedAt: at.toISOString(),
    destinations: [{ name: 'memory', outcome: 'pending' }],
    notifications: [],
    warnings: [],
    overlaps: 0,
    generation: 0,
  }
}

/** A month of nightly reports of every source would be as dear to write as it was to read: five are enough here. */
async function withHistory(...storages: CountingStorage[]): Promise<void> {
  for (const source of names) {
    for (const day of [17, 18, 19, 20, 21]) {
      await writeReport(storages, reportOf(source, new Date(Date.UTC(2026, 10, day, 2)), 'success'), keys)
    }
  }
  for (const storage of storages) storage.requests = 0
}

async function begin(storage: CountingStorage, source = names[0] ?? ''): Promise<string> {
  const report = reportOf(source, new Date('2026-11-22T02:00:00Z'), 'running')
  await noteBegun(redis, report.run)
  await writeReport([storage], report, keys)
  return report.run
}

const outcome = async (storage: CountingStorage, run: string) =>
  (await readReport(storage, parseRunId(run)?.source ?? '', run, keys))?.outcome

describe('what a look at a thousand sources costs', () => {
  it('is nothing while no run is lost, and five requests for one that is', async () => {
    const storage = new CountingStorage('memory')
    await withHistory(storage)
    const here = context(storage)
    await reconcile(here)
    // One list and the newest three, for each source, once.
    expect(storage.requests).toBe(4 * many)

    const alive = await begin(storage, names[1])
    await requestRun(queues, alive, {
      v: 1,
      source: names[1] ?? '',
      requestedBy: 'test',
      requestedAt: now.toISOString(),
      options: {},
    })
    storage.requests = 0
    for (let minute = 1; minute <= 60; minute++) await reconcile(here)
    expect(storage.requests).toBe(0)

    const lost = await begin(storage)
    storage.requests = 0
    await reconcile(here)
    expect(storage.requests).toBeLessThanOrEqual(5)
    expect(await outcome(storage, lost)).toBe('failed')
    expect(await begunRuns(redis)).toEqual([alive])
  })

  it('is one look through the newest reports when Redis lost its data, or was started again', async () => {
    const storage = new CountingStorage('memory')
    await withHistory(storage)
    const here = context(storage)
    await reconcile(here)
    const run = await begin(storage)
    await redis.flushall()
    storage.requests = 0
    await reconcile(here)
    expect(await outcome(storage, run)).toBe('failed')
    expect(storage.requests).toBeLessThanOrEqual(4 * many + 10)

    const second = await begin(storage, names[7])
    // What it heard last is not on its disk.
    await redis.srem('securyflex:begun', second)
    await server.restart()
    await reconcile(here)
    expect(await outcome(storage, second)).toBe('failed')
    storage.requests = 0
    await reconcile(here)
    expect(storage.requests).toBe(0)
  })

  it('is done again for a store that did not answer, and a report is mended there once it does', async () => {
    const [one, two] = [new CountingStorage('one'), new CountingStorage('two')]
    const run = await begin(one)
    two.objects.set(...(([...one.objects] as [string, Buffer][])[0] as [string, Buffer]))
    await redis.flushall()
    two.silent = true
    await reconcile(context(one, two))
    // Whoever does not answer is not asked for a thousand sources.
    expect(two.requests).toBeLessThan(100)
    expect(await outcome(one, run)).toBe('failed')
    expect(await begunRuns(redis)).toEqual([run])
    two.silent = false
    await reconcile(context(one, two))
    expect(await outcome(two, run)).toBe('failed')
    expect(await begunRuns(redis)).toEqual([])
    expect(await queues.get('notify').count()).toBe(1)
  })

  it('does not count as done when Redis loses its data during the look', async () => {
    const storage = new CountingStorage('memory')
    const here = context(storage)
    const alive = await begin(storage)
    const list = storage.list.bind(storage)
    let flushed = false
    storage.list = async function* (prefix) {
      if (!flushed) await redis.flushall()
      flushed = true
      yield* list(prefix)
    }
    await reconcile(here)
    await redis.del('securyflex:begun')
    await writeReport([storage], { ...reportOf(names[0] ?? '', now, 'running'), run: alive }, keys)
    await reconcile(here)
    expect(await outcome(storage, alive)).toBe('failed')
  })
})
