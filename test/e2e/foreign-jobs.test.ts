import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { pause, resume } from '@securyflex/shared/queue'
import { type Job, type JobsOptions, Queue } from 'bullmq'
import { type Installation, startInstallation, type WorkerProcess } from '../helpers/installation.ts'

/** Runs that another program adds with nothing but BullMQ, as docs/queues.md has it. */
let installation: Installation
let queue: Queue
let worker: WorkerProcess

beforeAll(async () => {
  installation = await startInstallation()
  await installation.database.query('CREATE TABLE orders AS SELECT n FROM generate_series(1, 100) AS n')
  const { host, port } = installation.redis
  queue = new Queue('run', { prefix: 'securyflex', connection: { host, port } })
  worker = await installation.startWorker()
})

afterAll(async () => {
  await worker.kill('SIGTERM')
  await queue.close()
  await installation[Symbol.asyncDispose]()
})

const payload = {
  v: 1,
  source: 'shop',
  requestedBy: 'deploy',
  requestedAt: '2026-11-23T02:00:00.000Z',
  options: { compression: { algorithm: 'gzip', level: 6 } },
}
const once: JobsOptions = { deduplication: { id: 'shop' } }

async function add(data: object, options: JobsOptions): Promise<Job> {
  const job = await queue.add('run', data, options)
  return installation.ended(job.id ?? '')
}

describe('a job of the documented form', () => {
  it('is a run, and a second one meanwhile is the same run', async () => {
    const [one, other] = await Promise.all([
      queue.add('run', payload, { ...once, jobId: 'shop.20261123T020000Z.a001' }),
      queue.add('run', payload, { ...once, jobId: 'shop.20261123T020000Z.a002' }),
    ])
    expect(other.id).toBe(one.id)
    const ended = await installation.ended(one.id ?? '')
    expect(ended.returnvalue).toMatchObject({ outcome: 'success' })
    expect(await installation.report(one.id ?? '')).toMatchObject({ requestedBy: 'deploy' })
  })

  it('may say its compression and its days as text', async () => {
    const options = { compression: 'zstd:1', retentionDays: '70' }
    const job = await add({ ...payload, options }, { ...once, jobId: 'shop.20261123T020000Z.a003' })
    expect(job.returnvalue).toMatchObject({ outcome: 'success' })
    expect(job.data).toMatchObject({
      plan: { options: { compression: { algorithm: 'zstd', level: 1 }, retentionDays: 70 } },
    })
  })
})

describe('a job of another form', () => {
  it.each([
    ['an option that does not exist', { options: { retentiondays: 7 } }, /options: .*retentiondays/],
    ['a level that does not exist', { options: { compression: 'gzip:12' } }, /levels are 1 to 9 for gzip/],
    ['another version', { v: 2 }, /v: /],
    ['no requester', { requestedBy: '' }, /requestedBy/],
  ])('fails with the reason, in a report too: %s', async (_what, wrong, reason) => {
    const jobId = `shop.20261123T030000Z.b${String(Math.trunc(performance.now())).slice(-3)}`
    const job = await add({ ...payload, ...wrong }, { ...once, jobId })
    expect(job.failedReason).toMatch(reason)
    expect(job.failedReason).toContain('[PAYLOAD_INVALID]')
    expect(await installation.report(jobId)).toMatchObject({ outcome: 'failed', code: 'PAYLOAD_INVALID' })
  })

  it('fails with the form of an id where its own is none, and leaves no file behind', async () => {
    const job = await add(payload, { ...once, jobId: '../../elsewhere' })
    expect(job.failedReason).toContain('Give the job an id like shop.20261123T020000Z.3fa2')
  })

  it('fails with the option that it lacks where BullMQ would let two runs at a source', async () => {
    const job = await add(payload, { jobId: 'shop.20261123T040000Z.c001' })
    expect(job.failedReason).toContain(`deduplication: { id: 'shop' }`)
    const expiring = { id: 'shop', ttl: 1000 }
    const other = await add(payload, { jobId: 'shop.20261123T040000Z.c002', deduplication: expiring })
    expect(other.failedReason).toContain('no other option of deduplication')
  })

  it('fails where its id is of a time to come, which would make its backup the newest one until then', async () => {
    const job = await add(payload, { ...once, jobId: 'shop.20991123T020000Z.c003' })
    expect(job.failedReason).toContain('“shop.20991123T020000Z.c003” is in the future')
  })

  it('fails where it says itself how it is to be made, which would take it past pauses and limits', async () => {
    const done = await installation.queues.get('run').getJob('shop.20261123T020000Z.a003')
    const { plan } = done?.data as { plan: object }
    const job = await add({ ...payload, plan }, { ...once, jobId: 'shop.20261123T040000Z.c004' })
    expect(job.failedReason).toContain('Leave out the field “plan”.')
  })

  it('fails where it has no data at all, in a report too', async () => {
    const jobId = 'shop.20261123T040000Z.c005'
    const job = await add(null as unknown as object, { ...once, jobId })
    expect(job.failedReason).toContain('[PAYLOAD_INVALID]')
    expect(await installation.report(jobId)).toMatchObject({ outcome: 'failed', code: 'PAYLOAD_INVALID' })
  })

  it('fails where its source does not exist', async () => {
    const jobId = 'nosuch.20261123T040000Z.d001'
    const job = await add({ ...payload, source: 'nosuch' }, { jobId, deduplication: { id: 'nosuch' } })
    expect(job.failedReason).toContain('There is no source “nosuch”')
  })

  it('fails where its source is paused, with the line that resumes it', async () => {
    const { redis } = installation.queues
    await pause(redis, 'shop', 'anna', new Date(Date.now() - 1000))
    const job = await add(payload, { ...once, jobId: 'shop.20261123T050000Z.e001' })
    await resume(redis, 'shop', 'anna')
    expect(job.failedReason).toContain('npx --no securyflex-backup resume shop')
    expect(job.failedReason).toContain('[SOURCE_PAUSED]')
  })

  it('does not keep the next good one from being made', async () => {
    const run = await installation.request()
    expect((await installation.ended(run)).returnvalue).toMatchObject({ outcome: 'success' })
  })
})
