import { describe, expect, it } from '@jest/globals'
import { existsSync } from 'node:fs'
import { Redis } from 'ioredis'
import { startRedis } from './redis.ts'

describe('a redis-server of one test', () => {
  it('keeps its data and its address through SIGKILL', async () => {
    await using redis = await startRedis()
    await inRedis(redis.url, (client) => client.set('key', 'value'))
    await redis.kill()
    await redis.restart()
    expect(await inRedis(redis.url, (client) => client.get('key'))).toBe('value')
  })

  it('is empty, evicts nothing and answers at a socket, too', async () => {
    await using redis = await startRedis()
    expect(await inRedis(redis.socket, (client) => client.dbsize())).toBe(0)
    expect(await inRedis(redis.socket, (client) => client.config('GET', 'maxmemory-policy'))).toContain(
      'noeviction',
    )
  })

  it('leaves nothing behind', async () => {
    const redis = await startRedis()
    await redis.stop()
    expect(existsSync(redis.socket)).toBe(false)
  })
})

async function inRedis<T>(address: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(address)
  try {
    return await work(client)
  } finally {
    client.disconnect()
  }
}
