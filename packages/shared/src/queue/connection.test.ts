import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { describe, expect, it } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import { freePort } from '../../../../test/helpers/free-port.ts'
import { startRedis } from '../../../../test/helpers/redis.ts'
import { connectOrFail, connectPatiently, redisTarget } from './index.ts'

const address = (url: string, shown = url) => ({ url: new Secret(url, []), shown })

describe('the target of an address', () => {
  it.each([
    ['redis://127.0.0.1', { host: '127.0.0.1', port: 6379 }],
    ['redis://cache:7000/3', { host: 'cache', port: 7000, db: 3 }],
    ['redis://:pa%40ss%2F@cache', { host: 'cache', port: 6379, password: 'pa@ss/' }],
    ['redis://me:secret@cache/0', { host: 'cache', port: 6379, username: 'me', password: 'secret', db: 0 }],
    ['redis://[::1]:6380', { host: '::1', port: 6380 }],
    [
      'rediss://cache.example.com',
      { host: 'cache.example.com', port: 6379, tls: { servername: 'cache.example.com' } },
    ],
    // A name is indicated, an address never is (RFC 6066).
    ['rediss://10.0.0.7', { host: '10.0.0.7', port: 6379, tls: {} }],
    ['rediss://[::1]', { host: '::1', port: 6379, tls: {} }],
    ['unix:///run/redis.sock', { path: '/run/redis.sock' }],
    ['unix:///run/my%20redis.sock', { path: '/run/my redis.sock' }],
  ])('%s', (url, target) => {
    expect(redisTarget(address(url))).toEqual(target)
  })
})

describe('a connection for a command', () => {
  it('works over TCP and over a socket', async () => {
    await using redis = await startRedis()
    for (const url of [redis.url, `unix://${redis.socket}`]) {
      const connection = await connectOrFail(address(url))
      expect(await connection.ping()).toBe('PONG')
      connection.disconnect()
    }
  })

  it('fails within 5 s where nothing listens, saying so without the password', async () => {
    const port = String(await freePort())
    const url = `redis://:topsecret@127.0.0.1:${port}`
    const failed = await timed(connectOrFail(address(url, `redis://127.0.0.1:${port}`)))
    expect(failed.ms).toBeLessThan(5000)
    expect(failed.error).toMatchObject({
      code: 'REDIS_UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED'),
      hint: expect.stringContaining('npm start'),
    })
    expect(String(failed.error)).not.toContain('topsecret')
  })

  it('fails where a socket or a host is not there', async () => {
    for (const url of ['unix:///nonexistent/redis.sock', 'redis://nosuch.invalid']) {
      await expect(connectOrFail(address(url))).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE' })
    }
  })

  it('fails within 5 s when the peer accepts and never answers', async () => {
    const { server, port } = await listening(() => undefined)
    const failed = await timed(connectOrFail(address(`redis://127.0.0.1:${String(port)}`)))
    server.close()
    expect(failed.ms).toBeLessThan(5000)
    expect(failed.error).toMatchObject({
      code: 'REDIS_UNREACHABLE',
      message: expect.stringContaining('no answer within 3 seconds'),
    })
  })

  it('fails at once when the peer hangs up or speaks something else', async () => {
    for (const answer of ['', 'HTTP/1.1 400 Bad Request\r\n\r\n']) {
      const { server, port } = await listening((socket) => socket.end(answer))
      await expect(connectOrFail(address(`redis://127.0.0.1:${String(port)}`))).rejects.toMatchObject({
        code: 'REDIS_UNREACHABLE',
      })
      server.close()
    }
  })

  it('says that a password is wanted or wrong, and where to put it', async () => {
    await using redis = await startRedis()
    const administrator = await connectOrFail(address(redis.url))
    await administrator.config('SET', 'requirepass', 'rightpassword')
    for (const url of [redis.url, redis.url.replace('redis://', 'redis://:wrongpassword@')]) {
      await expect(connectOrFail(address(url, redis.url))).rejects.toMatchObject({
        code: 'REDIS_UNREACHABLE',
        class: 'user',
        message: expect.stringContaining('refuses'),
        hint: expect.stringContaining('REDIS_URL'),
      })
    }
    const let_in = await connectOrFail(address(redis.url.replace('redis://', 'redis://:rightpassword@')))
    for (const open of [let_in, administrator]) open.disconnect()
  })
})

describe('a connection of a long-lived process', () => {
  it('waits for Redis to come back', async () => {
    await using redis = await startRedis()
    const connection = connectPatiently(address(redis.url))
    connection.on('error', () => undefined)
    await connection.set('key', 'value')
    await redis.kill()
    const waiting = connection.get('key')
    await redis.restart()
    expect(await waiting).toBe('value')
    connection.disconnect()
  })
})

async function listening(
  onConnection: Parameters<typeof createServer>[1],
): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    onConnection?.(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('A TCP server has a port.')
  return { server, port: bound.port }
}

async function timed(work: Promise<unknown>): Promise<{ ms: number; error: unknown }> {
  const start = performance.now()
  const error = await work.then(
    () => 'it succeeded',
    (thrown: unknown) => thrown,
  )
  return { ms: performance.now() - start, error }
}
