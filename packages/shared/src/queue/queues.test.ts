import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { Job } from 'bullmq'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import {
  addChild,
  cancelRun,
  countOverlaps,
  forgetCancel,
  isCancelled,
  jobIds,
  jobOptions,
  onCancel,
  type Payloads,
  prefix,
  queueName,
  queueNames,
  Queues,
  readSchedules,
  reclaimSource,
  requestRun,
} from './index.ts'

let server: TestRedis
let redis: Redis
let queues: Queues
const workers: Worker[] = []

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
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close(true)))
  await queues.close()
})

const first = 'shop.20261123T020000Z.0001'
const second = 'shop.20261123T030000Z.0002'
const request = (requestedBy = 'test'): Payloads['run'] => ({
  v: 1,
  source: 'shop',
  requestedBy,
  requestedAt: '2026-11-23T02:00:00.000Z',
  options: {},
})

/** Takes jobs of one queue with `work` until the test is over. */
function serve(queue: string, work: (job: Job) => Promise<unknown>): Worker {
  const worker = new Worker(queue, work, {
    connection: { url: server.url, maxRetriesPerRequest: null },
    prefix,
  })
  worker.on('error', () => undefined)
  workers.push(worker)
  return worker
}

describe('a request for a run', () => {
  it('stands for itself when nothing of the source is under way', async () => {
    expect(await requestRun(queues, first, request())).toEqual({ run: first, accepted: true })
    expect((await queues.get('run').getJob(first))?.data).toMatchObject({
      source: 'shop',
      requestedBy: 'test',
    })
    expect(await countOverlaps(queues, first)).toBe(0)
  })

  it('is told of the run that is under way, and counted with it', async () => {
    await requestRun(queues, first, request())
    expect(await requestRun(queues, second, request('schedule'))).toEqual({ run: first, accepted: false })
    expect(await requestRun(queues, 'shop.20261123T040000Z.0003', request('cli'))).toEqual({
      run: first,
      accepted: false,
    })
    expect(await countOverlaps(queues, first)).toBe(2)
    expect(await queues.get('run').getJob(second)).toBeUndefined()
  })

  it('is made once when many ask at the same moment, and asking for the same slot twice counts as once', async () => {
    const ids = Array.from({ length: 12 }, (_, n) => `shop.20261123T02000${String(n % 6)}Z.0000`)
    const asked = await Promise.all(ids.map((id) => requestRun(queues, id, request())))
    const [run = ''] = new Set(asked.map((one) => one.run))
    expect(new Set(asked.map((one) => one.run)).size).toBe(1)
    expect(await countOverlaps(queues, run)).toBe(5)
    expect(await queues.get('run').getJobCounts()).toMatchObject({ waiting: 1, active: 0 })
  })

  it('does not meet runs of other sources', async () => {
    await requestRun(queues, first, request())
    const other = 'crm.20261123T020000Z.0001'
    expect(await requestRun(queues, other, { ...request(), source: 'crm' })).toEqual({
      run: other,
      accepted: true,
    })
  })

  it.each(['completes', 'fails'])('is free again when the run %s', async (end) => {
    await requestRun(queues, first, request())
    const worker = serve('run', () =>
      end === 'fails' ? Promise.reject(new Error('no')) : Promise.resolve('done'),
    )
    await once(worker, end === 'fails' ? 'failed' : 'completed')
    await worker.pause()
    expect(await requestRun(queues, second, request())).toEqual({ run: second, accepted: true })
  })

  it('is not free while the run waits for its children', async () => {
    await requestRun(queues, first, request())
    await park(first)
    expect(await requestRun(queues, second, request())).toEqual({ run: first, accepted: false })
  })

  it('is refused when it is malformed, and nothing is queued', async () => {
    await expect(requestRun(queues, first, { ...request(), source: 'a b' })).rejects.toMatchObject({
      code: 'PAYLOAD_INVALID',
    })
    expect(await queues.get('run').count()).toBe(0)
  })
})

describe('a retried run', () => {
  it('takes its source’s place again if nobody has it', async () => {
    await requestRun(queues, first, request())
    const worker = serve('run', () => Promise.reject(new Error('no')))
    await once(worker, 'failed')
    await worker.close()
    await (await queues.get('run').getJob(first))?.retry('failed')
    expect(await reclaimSource(queues, 'shop', first)).toBe(first)
    expect(await reclaimSource(queues, 'shop', first)).toBe(first)
    expect(await requestRun(queues, second, request())).toEqual({ run: first, accepted: false })
  })

  it('is told of the run that has it', async () => {
    await requestRun(queues, first, request())
    expect(await reclaimSource(queues, 'shop', second)).toBe(first)
  })
})

/** Makes a run that waits for one child, a verify job, and gives that child's id. */
async function park(run: string): Promise<string> {
  const id = jobIds.destination(run, '9f3c2a1b', 'local')
  const parked = new Promise<void>((resolve) => {
    const worker = serve('run', async (job) => {
      const { WaitingChildrenError } = await import('bullmq')
      await addChild(queues, run, 'verify', id, { v: 1, run, source: 'shop', destination: 'local' })
      if (await job.moveToWaitingChildren(job.token ?? '')) {
        resolve()
        throw new WaitingChildrenError()
      }
      return 'woken'
    })
    worker.on('active', () => undefined)
  })
  await parked
  return id
}

describe('a child of a run', () => {
  const child = { v: 1, run: first, source: 'shop', destination: 'local' } as const

  it('keeps the run waiting until it has ended, and its failure is the run’s to judge', async () => {
    await requestRun(queues, first, request())
    const id = await park(first)
    const [run] = workers as [Worker]
    const woken = once(run, 'completed')
    serve('verify', () => Promise.reject(new Error('bad')))
    await (await queues.get('verify').getJob(id))?.updateData(child)
    await woken
    const job = await queues.get('run').getJob(first)
    expect(Object.keys((await job?.getIgnoredChildrenFailures()) ?? {})).toEqual([`${prefix}:verify:${id}`])
  })

  it('that has failed already is left alone: it is not waited for again', async () => {
    await requestRun(queues, first, request())
    const id = jobIds.destination(first, '9f3c2a1b', 'local')
    await addChild(queues, first, 'verify', id, child)
    const worker = serve('verify', () => Promise.reject(new Error('bad')))
    await new Promise<void>((resolve) => {
      worker.on('failed', (job) => {
        if (job !== undefined && job.attemptsMade >= (job.opts.attempts ?? 1)) resolve()
      })
    })
    await worker.pause()
    await addChild(queues, first, 'verify', id, child)
    expect(await (await queues.get('verify').getJob(id))?.isFailed()).toBe(true)
    expect((await (await queues.get('run').getJob(first))?.getDependenciesCount())?.unprocessed).toBe(0)
  })

  it('is one, however often it is added', async () => {
    await requestRun(queues, first, request())
    await Promise.all(Array.from({ length: 10 }, () => addChild(queues, first, 'verify', 'verify-1', child)))
    expect(await queues.get('verify').count()).toBe(1)
  })
})

describe('cancelling', () => {
  it('marks the run until it is forgotten, and tells who listens', async () => {
    const subscriber = redis.duplicate()
    const heard = new Promise(
      (resolve) => void onCancel(subscriber, resolve).then(() => cancelRun(redis, first)),
    )
    expect(await heard).toBe(first)
    expect(await isCancelled(redis, first)).toBe(true)
    expect(await isCancelled(redis, second)).toBe(false)
    expect(await redis.ttl(`${prefix}:cancelled:${first}`)).toBeGreaterThan(48 * 60 * 60)
    await forgetCancel(redis, first)
    expect(await isCancelled(redis, first)).toBe(false)
    subscriber.disconnect()
  })
})

describe('names and policies', () => {
  it('are a queue a step, and one a destination for uploads', () => {
    expect(queueNames(['local', 's3'])).toEqual([
      ...['schedule', 'run', 'dump', 'compress', 'encrypt', 'upload-local', 'upload-s3'],
      ...['seal', 'verify', 'prune', 'notify', 'copy', 'scrub'],
    ])
    expect(() => queueName('upload')).toThrow(TypeError)
  })

  it('give ids that BullMQ takes', () => {
    const ids = [
      jobIds.dump(first, 0, 1),
      jobIds.batch(first, '9f3c2a1b', 7),
      jobIds.destination(first, '9f3c2a1b', 'local'),
      jobIds.notify(first, 0, 'log'),
    ]
    expect(ids.some((id) => id.includes(':'))).toBe(false)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('let every queue forget, and steps outlive the longest run', () => {
    for (const step of ['run', 'dump', 'upload', 'notify'] as const) {
      const { removeOnComplete, removeOnFail, attempts } = jobOptions(step, 1000)
      for (const removal of [removeOnComplete, removeOnFail]) {
        expect((removal as { age: number }).age).toBeGreaterThan(48 * 60 * 60)
      }
      // A run judges its children and is retried by a person; its steps try again by themselves.
      expect((attempts ?? 0) > 1).toBe(step !== 'run')
    }
  })

  it('read back the schedules that Redis keeps', async () => {
    expect(await readSchedules(queues)).toEqual([])
    await queues.get('schedule').upsertJobScheduler('shop', { pattern: '0 2 * * *', tz: 'Europe/Amsterdam' })
    const [kept] = await readSchedules(queues)
    expect(kept).toMatchObject({ source: 'shop', cron: '0 2 * * *', timeZone: 'Europe/Amsterdam' })
    expect(kept?.next?.getTime()).toBeGreaterThan(Date.now())
  })
})
