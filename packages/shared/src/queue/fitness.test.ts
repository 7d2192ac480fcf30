import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { RedisAddress } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { Redis } from 'ioredis'
import { freePort } from '../../../../test/helpers/free-port.ts'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import { checkUsable, evictionPolicy, untilUsable } from './index.ts'

let redis: TestRedis
let administrator: Redis
let address: RedisAddress

beforeEach(async () => {
  redis = await startRedis()
  administrator = new Redis(redis.url)
  address = { url: new Secret(redis.url, []), shown: redis.url }
})
afterEach(async () => {
  administrator.disconnect()
  await redis.stop()
})

/** Waits for Redis as a process does, until it has said something; gives that, and what came in the end. */
async function waiting(): Promise<{ said: string; done: Promise<unknown> }> {
  const first = Promise.withResolvers<string>()
  const done = untilUsable(address, first.resolve)
  return { said: await Promise.race([first.promise, done.then(() => 'nothing')]), done }
}

describe('a process that begins', () => {
  it('goes on at once where Redis can be used, and leaves nothing there', async () => {
    expect((await waiting()).said).toBe('nothing')
    expect(await administrator.pttl('securyflex:probe')).toBeGreaterThan(0)
  })

  it.each([
    ['full', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0'], /is full.*maxmemory/],
    ['a replica', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE'], /is a read-only replica/],
  ])('says that Redis is %s and goes on by itself once it is not', async (_what, make, mend, words) => {
    await administrator.call(...(make as [string, ...string[]]))
    const { said, done } = await waiting()
    expect(said).toMatch(words)
    expect(said).toMatch(/Waiting for it\.$/)
    await administrator.call(...(mend as [string, ...string[]]))
    await done
  })

  it('waits for a Redis that is not there', async () => {
    await redis.kill()
    const { said, done } = await waiting()
    expect(said).toContain('ECONNREFUSED')
    await redis.restart()
    await done
  })

  it.each(['allkeys-lru', 'volatile-ttl'])(
    'refuses a Redis that drops keys by %s, and says what to type',
    async (policy) => {
      await administrator.config('SET', 'maxmemory-policy', policy)
      await administrator.config('SET', 'maxmemory', '100mb')
      await expect(untilUsable(address, () => undefined)).rejects.toMatchObject({
        code: 'REDIS_UNREACHABLE',
        class: 'user',
        message: expect.stringContaining(`its maxmemory-policy is ${policy}`),
        hint: expect.stringContaining('CONFIG SET maxmemory-policy noeviction'),
      })
      await administrator.config('SET', 'maxmemory-policy', 'noeviction')
      await checkUsable(address)
    },
  )

  it('does not mind the rule of a Redis that has no limit to reach', async () => {
    await administrator.config('SET', 'maxmemory-policy', 'allkeys-lru')
    expect(await evictionPolicy(administrator)).toBeUndefined()
    await checkUsable(address)
  })

  it('refuses at once what waiting does not mend', async () => {
    await administrator.config('SET', 'requirepass', 'password')
    await expect(untilUsable(address, () => undefined)).rejects.toMatchObject({
      class: 'user',
      exitStatus: 5,
    })
    const port = String(await freePort())
    const gone = { url: new Secret(`redis://127.0.0.1:${port}`, []), shown: 'redis://gone' }
    await expect(checkUsable(gone)).rejects.toMatchObject({ class: 'transient' })
  })
})
