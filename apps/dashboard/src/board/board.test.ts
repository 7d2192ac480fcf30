import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { loadConfig } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { createLogger } from '@securyflex/shared/logging'
import { prefix, Queues, recentActions } from '@securyflex/shared/queue'
import { type Job, UnrecoverableError, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { PassThrough } from 'node:stream'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { type RunningDashboard, startDashboard } from '../start.ts'

const planted = 'planted-in-a-job-7c1f'
const now = new Date('2026-11-23T02:00:00Z').toISOString()

let redis: TestRedis
let directory: TemporaryDirectory
let dashboard: RunningDashboard
let client: Redis
let queues: Queues
const workers: Worker[] = []

beforeAll(async () => {
  redis = await startRedis()
  directory = await temporaryDirectory()
  const config = loadConfig({
    env: { REDIS_URL: redis.url, DASHBOARD_PORT: '0' },
    directory: directory.path,
    needs: ['redis'],
  })
  const logger = createLogger({ name: 'dashboard', stream: new PassThrough().resume() })
  dashboard = await startDashboard(config, { logger })
  client = new Redis(redis.url, { maxRetriesPerRequest: null })
  queues = new Queues(client, 60_000)
  await until(async () => (await fetch(`${dashboard.address}board/api/queues`)).ok)
})

afterAll(async () => {
  await queues.close()
  client.disconnect()
  await dashboard.close()
  await redis.stop()
  await directory.remove()
})

beforeEach(() => client.flushall())
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close()))
})

describe('a failed job', () => {
  it('is shown with its reason, without secrets', async () => {
    new Secret(planted)
    await failedNotification(`the store said ${planted} and postgresql://u:${planted}@db/x`)
    const text = await (await fetch(`${dashboard.address}board/api/queues/notify/n1`)).text()
    expect(text).toContain('the store said [secret]')
    expect(text).not.toContain(planted)
    const list = await (
      await fetch(`${dashboard.address}board/api/queues?activeQueue=notify&status=failed`)
    ).text()
    expect(list).toContain('the store said [secret]')
    expect(list).not.toContain(planted)
  })

  it('is retried', async () => {
    const job = await failedNotification('no answer')
    const answer = await change('notify/n1/retry/failed')
    expect(answer.status).toBe(404)
    expect((await change('notify/n1/retry')).status).toBe(204)
    expect(await job.getState()).toBe('waiting')
  })

  it('is retried when it is a run', async () => {
    const run = await queues.add('run', 'shop.20261123T020000Z.3fa2', {
      v: 1,
      source: 'shop',
      requestedBy: 'test',
      requestedAt: now,
      options: {},
    })
    await failAll('run', 'the database did not answer')
    await until(async () => (await run.getState()) === 'failed')
    expect((await change(`run/${String(run.id)}/retry`)).status).toBe(204)
    expect(await run.getState()).toBe('waiting')
  })
})

it('refuses to retry what has succeeded', async () => {
  const job = await notification()
  work('notify', () => Promise.resolve({ delivered: true }))
  await until(async () => (await job.getState()) === 'completed')
  await expectRefusal(await change('notify/n1/retry'), 'Only what failed is retried')
  expect(await job.getState()).toBe('completed')
})

describe('the schedule', () => {
  it('keeps its next job: neither promoted alone nor with all others', async () => {
    const job = await scheduled()
    await expectRefusal(await change(`schedule/${encodeURIComponent(job)}/promote`), 'tonight’s backup')
    await expectRefusal(await change('schedule/promote'), 'tonight’s backup')
    const { delayed, waiting } = await queues.get('schedule').getJobCounts('delayed', 'waiting')
    expect({ delayed, waiting }).toEqual({ delayed: 1, waiting: 0 })
  })

  it('keeps its schedulers', async () => {
    await scheduled()
    await expectRefusal(await change('schedule/job-schedulers/shop/remove'), 'BACKUP_CRON')
    expect(await queues.get('schedule').getJobSchedulersCount()).toBe(1)
  })

  it('is shown as read-only, so that the browser offers no such thing', async () => {
    const answer = await fetch(`${dashboard.address}board/api/queues`)
    const { queues: shown } = (await answer.json()) as { queues: { name: string; readOnlyMode: boolean }[] }
    expect(shown.filter(({ readOnlyMode }) => readOnlyMode).map(({ name }) => name)).toEqual(['schedule'])
    expect(shown.map(({ name }) => name)).toContain('upload-local')
  })
})

it('promotes a step that waits for its next attempt', async () => {
  const job = await notification()
  work('notify', () => Promise.reject(new Error('no answer')))
  await until(async () => (await job.getState()) === 'delayed')
  await Promise.all(workers.splice(0).map((worker) => worker.close()))
  expect((await change('notify/n1/promote')).status).toBe(204)
  expect(await job.getState()).toBe('waiting')
})

it('writes down who changed what, and nothing that was refused', async () => {
  const by = expect.stringMatching(/^dashboard \((::ffff:)?127\.0\.0\.1\)$/)
  const detail = 'on the board'
  const run = await queues.add('run', 'shop.20261123T020000Z.3fa2', {
    v: 1,
    source: 'shop',
    requestedBy: 'test',
    requestedAt: now,
    options: {},
  })
  await failAll('run', 'the database did not answer')
  await until(async () => (await run.getState()) === 'failed')
  await change(`run/${String(run.id)}/retry`)
  await failedNotification('no answer')
  await change('notify/n1/retry')
  await change('dump/pause')
  await change('dump/resume')
  await change('notify/n1/clean')
  await change('notify/none/retry')
  await fetch(`${dashboard.address}board/api/queues`)
  expect((await recentActions(client, 10)).reverse()).toMatchObject([
    { by, what: 'retry', subject: run.id, detail },
    { by, what: 'retry', subject: 'notify n1', detail },
    { by, what: 'pause', subject: 'queue dump', detail },
    { by, what: 'resume', subject: 'queue dump', detail },
  ])
})

it('removes nothing', async () => {
  await failedNotification('no answer')
  for (const path of ['notify/n1/clean', 'notify/clean/failed', 'notify/empty', 'notify/obliterate']) {
    await expectRefusal(await change(path), 'not removed by hand')
  }
  expect(await queues.get('notify').getJobCountByTypes('failed')).toBe(1)
})

it('pauses dumps and resumes them', async () => {
  expect((await change('dump/pause')).status).toBe(200)
  expect(await queues.get('dump').isPaused()).toBe(true)
  expect(await (await fetch(dashboard.address)).text()).toContain('Paused: dump.')
  expect((await change('dump/resume')).status).toBe(200)
  expect(await queues.get('dump').isPaused()).toBe(false)
  await expectRefusal(await change('pause'), 'Pause “dump” instead')
})

async function notification(): Promise<Job> {
  return queues.add('notify', 'n1', { v: 1, run: 'r1', source: 'shop', channel: 'log', message: {} })
}

async function failedNotification(reason: string): Promise<Job> {
  const job = await notification()
  await failAll('notify', reason)
  await until(async () => (await job.getState()) === 'failed')
  return job
}

async function failAll(queue: 'run' | 'notify', reason: string): Promise<void> {
  const worker = work(queue, () => Promise.reject(new UnrecoverableError(reason)))
  await new Promise((resolve) => worker.once('failed', resolve))
  await worker.close()
}

function work(queue: string, processor: () => Promise<unknown>): Worker {
  const worker = new Worker(queue, processor, {
    prefix,
    connection: { url: redis.url, maxRetriesPerRequest: null },
  })
  workers.push(worker)
  return worker
}

/** A scheduler as the producer makes them; returns the id of its waiting job. */
async function scheduled(): Promise<string> {
  const job = await queues
    .get('schedule')
    .upsertJobScheduler(
      'shop',
      { pattern: '0 2 * * *', tz: 'UTC' },
      { name: 'schedule', data: { v: 1, source: 'shop' } },
    )
  return String(job.id)
}

function change(path: string): Promise<Response> {
  return fetch(`${dashboard.address}board/api/queues/${path}`, {
    method: 'PUT',
    body: '{}',
    headers: { 'content-type': 'application/json' },
  })
}

async function expectRefusal(answer: Response, sentence: string): Promise<void> {
  expect(answer.status).toBe(403)
  expect(((await answer.json()) as { message: string }).message).toContain(sentence)
}

/** Looks again until it holds; fails after ten seconds. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('It did not come true within ten seconds.')
  }
}
