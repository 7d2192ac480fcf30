import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import { prefix, sharedLine } from './index.ts'

let server: TestRedis
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})
beforeEach(() => redis.flushall())

/** When the line of a destination is free, in ms. */
const free = async (destination: string) => Number(await redis.get(`${prefix}:bandwidth:${destination}`))

describe('the line to a destination', () => {
  it('lets pass at once what an idle line may catch up with', async () => {
    const began = performance.now()
    await sharedLine(redis, 'offsite', 1000).take(900)
    expect(performance.now() - began).toBeLessThan(500)
  })

  it('is one line for all who hold it: what they take adds up', async () => {
    const workers = Array.from({ length: 4 }, () => sharedLine(redis, 'offsite', 1_000_000))
    await workers[0]?.take(1)
    const before = await free('offsite')
    await Promise.all(workers.map((worker) => worker.take(250_000)))
    expect((await free('offsite')) - before).toBeGreaterThanOrEqual(999)
  })

  it('makes those who come later wait until the bytes before theirs have passed', async () => {
    const line = sharedLine(redis, 'offsite', 1_000_000)
    const began = performance.now()
    for (let number = 0; number < 4; number++) await line.take(500_000)
    // A second is caught up with, and the last one waits for the three before it.
    expect(performance.now() - began).toBeGreaterThanOrEqual(450)
  })

  it('is another for another destination', async () => {
    await sharedLine(redis, 'slow', 1000).take(1_000_000)
    const began = performance.now()
    await sharedLine(redis, 'offsite', 1000).take(500)
    expect(performance.now() - began).toBeLessThan(500)
  })

  it('is forgotten when nobody has used it for a minute', async () => {
    await sharedLine(redis, 'offsite', 1_000_000).take(1)
    const left = await redis.pttl(`${prefix}:bandwidth:offsite`)
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(61_000)
  })
})
