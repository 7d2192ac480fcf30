import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals'
import { prefix } from '@securyflex/shared/queue'
import { Spool } from '@securyflex/shared/spool'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../test/helpers/redis.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../../test/helpers/temporary-directory.ts'
import { claimSpool } from './spool-claim.ts'

const key = `${prefix}:spool`
/** Between two renewals, in ms. */
const soon = 5

let server: TestRedis
let redis: Redis
let place: TemporaryDirectory
let spool: Spool

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url, { maxRetriesPerRequest: null })
  place = await temporaryDirectory()
  spool = await Spool.open({ directory: place.path, limit: 1 })
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
  await place[Symbol.asyncDispose]()
})
beforeEach(() => redis.flushall())

it('claims again what Redis lost', async () => {
  const release = await claimSpool(redis, spool, fail, soon)
  await redis.flushall()
  while ((await redis.get(key)) === null);
  release()
  expect(await redis.get(key)).toBe(spool.id)
})

it('says that another spool was claimed meanwhile, and leaves that claim alone', async () => {
  const lost = Promise.withResolvers<unknown>()
  const release = await claimSpool(redis, spool, lost.resolve, soon)
  await redis.set(key, 'another')
  expect(await lost.promise).toMatchObject({
    code: 'SPOOL_UNUSABLE',
    message: `This worker’s spool (${spool.id}) is not the other workers’ (another).`,
  })
  release()
  expect(await redis.get(key)).toBe('another')
})

function fail(error: unknown): void {
  throw error
}
