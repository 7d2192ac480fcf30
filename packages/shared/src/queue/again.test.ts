import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type Job, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import {
  markedSources,
  pause,
  type Payloads,
  prefix,
  Queues,
  recentActions,
  requestAgain,
  requestRun,
} from './index.ts'

let server: TestRedis
let redis: Redis
let queues: Queues

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url, { maxRetriesPerRequest: null })
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})
beforeEach(async () => {
  await redis.flushall()
  queues = new Queues(redis, 10)
})
afterEach(() => queues.close())

const ids = [1, 2, 3, 4].map((number) => `shop.20261123T02000${String(number)}Z.000${String(number)}`)
const [first = '', second = '', third = '', fourth = ''] = ids
const request = (requestedBy = 'test'): Payloads['run'] => ({
  v: 1,
  source: 'shop',
  requestedBy,
  requestedAt: '2026-11-23T02:00:00.000Z',
  options: {},
})
const ask = (id: string, by = 'test') => requestRun(queues, id, request(by), { overlap: 'again' })

/** What the worker notes when a run begins. */
async function begin(run: string): Promise<void> {
  const job = (await queues.get('run').getJob(run)) as Job
  const options = {
    compression: { algorithm: 'none', level: 0 },
    cipher: 'none',
    fingerprint: 'off',
    retentionDays: 1,
  }
  await job.updateData({
    ...request(),
    plan: { startedAt: '2026-11-23T02:00:00.000Z', destinations: ['local'], options },
  })
}

/** Has the run that is next end, as a worker that dies right afterwards would. */
async function endNext(): Promise<void> {
  const worker = new Worker('run', () => Promise.resolve({}), {
    prefix,
    connection: { host: server.host, port: server.port, maxRetriesPerRequest: null },
  })
  await once(worker, 'completed')
  await worker.close()
}

const waitingRuns = async () => ((await queues.get('run').getWaiting()) as Job[]).map(({ id }) => id)

describe('one more run after the one under way', () => {
  it('is asked for when that has ended, once, however many requests came and however often it is looked', async () => {
    await ask(first)
    await begin(first)
    for (const id of [second, third]) {
      expect(await ask(id)).toEqual({ run: first, accepted: false, again: true })
    }
    expect(await requestAgain(queues, 'shop')).toBeUndefined()
    await endNext()
    expect(await markedSources(redis)).toEqual(['shop'])
    expect(await Promise.all([1, 2, 3].map(() => requestAgain(queues, 'shop')))).toContain(third)
    expect(await waitingRuns()).toEqual([third])
    expect(await markedSources(redis)).toEqual([])
    expect(await requestAgain(queues, 'shop')).toBeUndefined()
  })

  it('is not needed while the run that stands for the request has not begun', async () => {
    await ask(first)
    expect(await ask(second)).toEqual({ run: first, accepted: false })
    expect(await markedSources(redis)).toEqual([])
  })

  it('is made at once when the run before it ended before that could be noted', async () => {
    await ask(first)
    await begin(first)
    await endNext()
    await redis.set(`${prefix}:run:de:shop`, first)
    expect(await ask(second)).toMatchObject({ run: first, again: true })
    // The place that a dead run seems to hold is BullMQ's to free; the mark waits for it and is not lost.
    await redis.del(`${prefix}:run:de:shop`)
    await requestAgain(queues, 'shop')
    expect(await markedSources(redis)).toEqual([])
  })

  it('is the run that somebody asked for right after the end', async () => {
    await ask(first)
    await begin(first)
    await ask(second)
    await endNext()
    await requestRun(queues, fourth, request())
    expect(await requestAgain(queues, 'shop')).toBe(fourth)
    expect(await waitingRuns()).toEqual([fourth])
  })

  it('is skipped, and that is recorded, when the source is paused meanwhile', async () => {
    await ask(first)
    await begin(first)
    await ask(second)
    await pause(redis, 'shop', 'anna', new Date())
    await endNext()
    expect(await requestAgain(queues, 'shop')).toBeUndefined()
    expect(await markedSources(redis)).toEqual([])
    expect((await recentActions(redis, 1))[0]).toMatchObject({ what: 'skip', subject: 'shop' })
  })

  it('is not made where overlaps are skipped', async () => {
    await ask(first)
    await begin(first)
    expect(await requestRun(queues, second, request())).toEqual({ run: first, accepted: false })
    expect(await markedSources(redis)).toEqual([])
  })
})
