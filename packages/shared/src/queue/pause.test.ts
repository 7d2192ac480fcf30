import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import {
  everything,
  listPauses,
  pause,
  pauseOf,
  type Payloads,
  Queues,
  recentActions,
  requestRun,
  requestSlot,
  resume,
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

const run = 'shop.20261123T020000Z.0001'
const now = new Date('2026-11-23T01:00:00.000Z')
const request: Payloads['run'] & { slot: string } = {
  v: 1,
  source: 'shop',
  requestedBy: 'test',
  requestedAt: '2026-11-23T02:00:00.000Z',
  slot: '2026-11-23T02:00:00.000Z',
  options: {},
}

describe('a paused source', () => {
  it('refuses requests with the line that resumes it, until it is resumed', async () => {
    expect(await pause(redis, 'shop', 'anna', now)).toBe(true)
    await expect(requestRun(queues, run, request)).rejects.toMatchObject({
      code: 'SOURCE_PAUSED',
      message: 'Backups of shop are paused since 2026-11-23T01:00:00.000Z by anna.',
      hint: 'To have them made again, type: npx --no securyflex-backup resume shop',
    })
    expect(await resume(redis, 'shop', 'bert')).toBe(true)
    expect(await requestRun(queues, run, request)).toEqual({ run, accepted: true })
  })

  it('has the slots of its schedule skipped and recorded', async () => {
    await pause(redis, 'shop', 'anna', now)
    expect(await requestSlot(queues, run, { ...request, requestedBy: 'schedule' })).toBeUndefined()
    expect(await queues.get('run').getJobCounts()).toMatchObject({ waiting: 0 })
    expect((await recentActions(redis, 1))[0]).toMatchObject({
      by: 'schedule',
      what: 'skip',
      subject: 'shop',
      detail: 'the backup due at 2026-11-23T02:00:00.000Z, because of the pause by anna',
    })
  })

  it('leaves a run alone that was accepted before, and gives it to whoever asks for the same again', async () => {
    await requestRun(queues, run, request)
    await pause(redis, 'shop', 'anna', now)
    expect(await requestRun(queues, run, request)).toEqual({ run, accepted: true })
    expect(await queues.get('run').getJobState(run)).toBe('waiting')
  })

  it('does not pause another one whose name only begins alike', async () => {
    await pause(redis, 'shop', 'anna', now)
    expect(await pauseOf(redis, 'shop-2')).toBeUndefined()
  })

  it('is every source where everything is paused, and every one of a group where that is', async () => {
    await pause(redis, 'main-*', 'anna', now)
    expect(await pauseOf(redis, 'main-shop')).toMatchObject({ subject: 'main-*' })
    expect(await pauseOf(redis, 'shop')).toBeUndefined()
    await pause(redis, everything, 'anna', now)
    await expect(requestRun(queues, run, request)).rejects.toMatchObject({
      message: expect.stringContaining('everything (and shop with it)'),
      hint: 'To have them made again, type: npx --no securyflex-backup resume',
    })
  })

  it('stays paused when Redis is started again', async () => {
    await pause(redis, 'shop', 'anna', now)
    await server.restart()
    expect(await listPauses(redis)).toEqual([{ subject: 'shop', by: 'anna', at: now.toISOString() }])
  })
})

describe('what was done', () => {
  it('is kept with who did it and when, the newest first, and only what changed something', async () => {
    await pause(redis, 'shop', 'anna', now)
    expect(await pause(redis, 'shop', 'bert', now)).toBe(false)
    await resume(redis, 'shop', 'carl')
    expect(await resume(redis, 'shop', 'dora')).toBe(false)
    expect(await recentActions(redis, 10)).toEqual([
      { at: expect.any(String), by: 'carl', what: 'resume', subject: 'shop' },
      { at: expect.any(String), by: 'anna', what: 'pause', subject: 'shop' },
    ])
  })
})
