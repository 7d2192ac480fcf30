import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { RedisAddress, RedisTls } from '@securyflex/shared/config'
import { type BackupError, Secret } from '@securyflex/shared/errors'
import { Redis } from 'ioredis'
import { type Certificates, makeCertificates } from '../../../../test/helpers/certificates.ts'
import { freePort } from '../../../../test/helpers/free-port.ts'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { testWhere } from '../../../../test/helpers/test-where.ts'
import { connectOrFail, redisTrouble } from './index.ts'

const address = (url: string, tls?: RedisTls): RedisAddress => ({
  url: new Secret(url, []),
  shown: url.replace(/\/\/.*@/, '//'),
  ...(tls === undefined ? {} : { tls }),
})

async function troubleAt(url: string, tls?: RedisTls): Promise<BackupError> {
  try {
    const redis = await connectOrFail(address(url, tls))
    redis.disconnect()
  } catch (error) {
    return error as BackupError
  }
  throw new Error('It connected.')
}

let directory: TemporaryDirectory
let certificates: Certificates

beforeAll(async () => {
  directory = await temporaryDirectory()
  certificates = makeCertificates(directory)
})
afterAll(() => directory.remove())

const pem = (path: string) => readFileSync(path, 'utf8')
const trusting = (ca: string): RedisTls => ({ ca: pem(ca), client: undefined })

/** A Redis with a TLS port, which it shares with nobody. */
async function startSecurely(clients: 'yes' | 'no' = 'no'): Promise<{ redis: TestRedis; url: string }> {
  const port = await freePort()
  const redis = await startRedis({
    'tls-port': String(port),
    'tls-cert-file': certificates.server.certificate,
    'tls-key-file': certificates.server.key,
    'tls-ca-cert-file': certificates.ca,
    'tls-auth-clients': clients,
  })
  return { redis, url: `rediss://localhost:${String(port)}` }
}

describe('TLS', () => {
  it('works with the authority that signed, and with a certificate of ours where Redis asks for one', async () => {
    const { redis, url } = await startSecurely('yes')
    await using _ = redis
    const { certificate, key } = certificates.client
    const client = { certificate: pem(certificate), key: new Secret(pem(key)) }
    const connection = await connectOrFail(address(url, { ca: pem(certificates.ca), client }))
    expect(await connection.ping()).toBe('PONG')
    connection.disconnect()
    expect(await troubleAt(url, trusting(certificates.ca))).toMatchObject({
      class: 'user',
      message: expect.stringContaining('asks for a certificate of ours'),
      hint: expect.stringContaining('REDIS_TLS_CERT'),
    })
  })

  it('says that an authority is unknown, or not the one, and where to name it', async () => {
    const { redis, url } = await startSecurely()
    await using _ = redis
    expect(await troubleAt(url)).toMatchObject({
      class: 'user',
      message: `Redis at ${url} shows a certificate that no authority known here has signed.`,
      hint: expect.stringContaining('REDIS_TLS_CA='),
    })
    expect(await troubleAt(url, trusting(certificates.otherCa))).toMatchObject({
      class: 'user',
      message: expect.stringContaining('the authority in REDIS_TLS_CA did not sign'),
    })
  })

  it('says that the certificate is for another name', async () => {
    const { redis, url } = await startSecurely()
    await using _ = redis
    const elsewhere = url.replace('localhost', '127.0.0.2')
    await redis.restart({ bind: '127.0.0.1 127.0.0.2' })
    expect(await troubleAt(elsewhere, trusting(certificates.ca))).toMatchObject({
      class: 'user',
      message: expect.stringMatching(/for another name \(localhost, 127\.0\.0\.1\)/),
    })
  })

  it('says that a port speaks it and is asked without, and the reverse', async () => {
    const { redis, url } = await startSecurely()
    await using _ = redis
    expect(await troubleAt(url.replace('rediss:', 'redis:'))).toMatchObject({
      class: 'user',
      message: expect.stringContaining('speaks TLS at this port, and REDIS_URL begins with redis://'),
      hint: expect.stringContaining('Begin REDIS_URL with rediss://'),
    })
    const plain = redis.url.replace('redis:', 'rediss:')
    expect(await troubleAt(plain, trusting(certificates.ca))).toMatchObject({
      class: 'user',
      message: expect.stringContaining('does not speak TLS at this port'),
      hint: expect.stringContaining('Begin REDIS_URL with redis://'),
    })
  })
})

describe('users', () => {
  it('are told whether a password is wanted, or the user or its password is wrong, without showing it', async () => {
    await using redis = await startRedis()
    const administrator = new Redis(redis.url)
    await administrator.call('ACL', 'SETUSER', 'backup', 'on', '>right password', '~securyflex:*', '+@all')
    const as = (who: string) => redis.url.replace('//', `//${who}@`)
    for (const who of ['backup:wrong', 'nobody:wrong', 'backup']) {
      const trouble = await troubleAt(as(who))
      expect(trouble).toMatchObject({
        class: 'user',
        message: expect.stringMatching(/refuses the user “(backup|nobody)” or its password\.$/),
        hint: expect.stringContaining('docs/redis.md'),
      })
      expect(JSON.stringify([trouble.message, trouble.hint])).not.toContain('wrong')
    }
    await administrator.config('SET', 'requirepass', 'right password')
    expect((await troubleAt(redis.url)).message).toMatch(/refuses to talk without a password\.$/)
    expect((await troubleAt(as(':wrong'))).message).toMatch(/refuses this password\.$/)
    administrator.disconnect()
  })

  it('are told which right they lack: a command, the keys, the channels, or one in a script', async () => {
    await using redis = await startRedis()
    const administrator = new Redis(redis.url)
    const rule = [
      'on',
      '>password',
      '~securyflex:*',
      'resetchannels',
      '+get',
      '+eval',
      '+publish',
      '+ping',
      '+info',
    ]
    await administrator.call('ACL', 'SETUSER', 'backup', ...rule)
    administrator.disconnect()
    const own = address(redis.url.replace('//', '//backup:password@'))
    const connection = await connectOrFail(own)
    const told = async (work: Promise<unknown>) =>
      work.then(
        () => 'nothing',
        (error: unknown) => redisTrouble(error, own),
      )
    expect(await told(connection.hget('securyflex:a', 'b'))).toMatchObject({
      message: `Redis at ${own.shown} does not let the user “backup” run HGET.`,
      hint: 'Its administrator types: redis-cli ACL SETUSER backup +hget; the whole rule is in docs/redis.md.',
      class: 'user',
      exitStatus: 5,
    })
    expect(await told(connection.get('other'))).toMatchObject({
      message: expect.stringContaining('use the keys securyflex:*'),
      hint: expect.stringContaining('~securyflex:*'),
    })
    expect(await told(connection.publish('securyflex:cancel', 'x'))).toMatchObject({
      message: expect.stringContaining('use the channels securyflex:*'),
      hint: expect.stringContaining(`'&securyflex:*'`),
    })
    expect(await told(connection.eval(`return redis.call('HGET', 'securyflex:a', 'b')`, 0))).toMatchObject({
      message: expect.stringContaining('refuses a command of a script'),
      hint: expect.stringContaining('ACL LOG'),
    })
    expect(await told(connection.eval(`return redis.call('GET', 'other')`, 0))).toMatchObject({
      message: expect.stringContaining('use the keys securyflex:*'),
    })
    connection.disconnect()
    expect((await troubleAt(`${own.url.reveal()}/3`)).message).toContain('run SELECT')
    expect((await troubleAt(`${redis.url}/99`)).message).toContain('has no database of that number')
  })
})

/** An address of this machine that is not loopback, which protected mode does not trust. */
const outer = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address

describe('protected mode', () => {
  testWhere(outer !== undefined, 'this machine has loopback only')(
    'is called so, with what to type, by a real one',
    async () => {
      await using redis = await startRedis({ bind: `127.0.0.1 ${String(outer)}` })
      expect(await troubleAt(redis.url.replace('127.0.0.1', String(outer)))).toMatchObject({
        class: 'user',
        message: expect.stringContaining('is in protected mode'),
        hint: expect.stringContaining('CONFIG SET requirepass'),
      })
    },
  )
})

/** In the words of Redis, to whoever listens; whoever speaks first is cut off before he hears them. */
it('asks a second time, listening first, when all that came was a reset', async () => {
  let asked = 0
  const server = createServer((socket) => {
    asked += 1
    socket.on('error', () => undefined)
    if (asked === 1) socket.resetAndDestroy()
    else socket.end('-DENIED Redis is running in protected mode because protected mode is enabled.\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  expect((await troubleAt(`redis://127.0.0.1:${String(port)}`)).message).toContain('is in protected mode')
  server.close()
})

describe('a Redis that is there and cannot be used', () => {
  it('with all connections taken is called so', async () => {
    await using redis = await startRedis()
    const first = new Redis(redis.url)
    await first.config('SET', 'maxclients', '1')
    expect(await troubleAt(redis.url)).toMatchObject({
      class: 'transient',
      message: expect.stringContaining('as many connections as it may have'),
      hint: expect.stringContaining('maxclients'),
    })
    first.disconnect()
  })

  it('that reads its data back is called so', async () => {
    await using redis = await startRedis({ appendonly: 'no' })
    const first = new Redis(redis.url)
    const filled = first.pipeline()
    for (let number = 0; number < 3000; number++) filled.set(`securyflex:${String(number)}`, 'x')
    await filled.exec()
    await first.save()
    first.disconnect()
    await redis.kill()
    const slowly = { 'key-load-delay': '2000', 'loading-process-events-interval-bytes': '1024' }
    const back = redis.restart(slowly)
    const trouble = await until(
      () => troubleAt(redis.url),
      ({ message }) => !message.includes('ECONNREFUSED'),
    )
    expect(trouble).toMatchObject({
      class: 'transient',
      message: expect.stringContaining('is reading its data back'),
      hint: expect.stringContaining('INFO persistence'),
    })
    await back
  })

  it('that is a replica, or full, or cannot save refuses writes, each in its words', async () => {
    await using redis = await startRedis()
    const connection = await connectOrFail(address(redis.url))
    const told = async () =>
      connection.set('securyflex:x', 'y').then(
        () => undefined,
        (error: unknown) => redisTrouble(error)?.message,
      )
    await connection.config('SET', 'maxmemory', '1')
    expect(await told()).toBe('Redis is full: it has reached its maxmemory.')
    const inScript = connection
      .eval(`redis.call('SET', 'securyflex:x', 'y')`, 0)
      .catch((error: unknown) => redisTrouble(error))
    expect(await inScript).toMatchObject({ class: 'transient', message: expect.stringContaining('is full') })
    await connection.config('SET', 'maxmemory', '0')
    await connection.call('REPLICAOF', '127.0.0.1', String(await freePort()))
    expect(await told()).toBe('Redis is a read-only replica.')
    connection.disconnect()
  })
})

it('leaves every other error alone', () => {
  expect(redisTrouble(new Error('the disk is full'))).toBeUndefined()
  expect(redisTrouble('OOM')).toBeUndefined()
})

async function until<T>(look: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const value = await look()
    if (holds(value) || Date.now() > deadline) return value
  }
}
