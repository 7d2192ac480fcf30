import { PassThrough } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { loadConfig } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { describeAction, fieldsOf, pause, Queues, recentActions } from '@securyflex/shared/queue'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../test/helpers/redis.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../test/helpers/temporary-directory.ts'
import { startProducer } from './producer.ts'

const stream = 'securyflex:trigger'
const answers = 'securyflex:trigger:answers'

let server: TestRedis
let directory: TemporaryDirectory
let redis: Redis
let queues: Queues

beforeAll(async () => {
  server = await startRedis()
  directory = await temporaryDirectory()
  redis = new Redis(server.url, { maxRetriesPerRequest: null })
  redis.on('error', () => undefined)
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
  await directory.remove()
})
beforeEach(async () => {
  await redis.flushall()
  queues = new Queues(redis, 10)
})
afterEach(() => queues.close())

async function start(log = new PassThrough().resume()) {
  const env = {
    REDIS_URL: server.url,
    DATABASE_URL: 'postgresql://backup@localhost:5432/shop',
    BACKUP_DIR: directory.join('backups'),
    BACKUP_SCHEDULE_ENABLED: 'false',
  }
  const config = loadConfig({ env, directory: directory.path, needs: ['redis'] })
  const logger = createLogger({ name: 'producer', level: 'info', stream: log })
  return startProducer(config, logger, { takeOverAfter: 200 })
}

type Answer = Readonly<Record<string, string>>

async function answersTo(id: string): Promise<Answer[]> {
  const entries = await redis.xrange(answers, '-', '+')
  return entries.map(([, fields]) => fieldsOf(fields)).filter(({ trigger }) => trigger === id)
}

async function answerTo(id: string): Promise<Answer> {
  await until(async () => (await answersTo(id)).length > 0)
  return (await answersTo(id))[0] ?? {}
}

const send = async (...fields: string[]) => (await redis.xadd(stream, '*', ...fields)) ?? ''

describe('a trigger', () => {
  it('is answered with the run that it became, which has its options', async () => {
    await using _producer = await start()
    const id = await send('source', 'shop', 'compression', 'gzip:6', 'retentionDays', '7')
    const { outcome, run = '' } = await answerTo(id)
    expect(outcome).toBe('accepted')
    const job = await queues.get('run').getJob(run)
    expect(job?.data).toMatchObject({
      source: 'shop',
      requestedBy: `trigger ${id}`,
      options: { compression: { algorithm: 'gzip', level: 6 }, retentionDays: 7 },
    })
    expect(await redis.xlen(stream)).toBe(0)
    expect(await redis.keys('securyflex:trigger:run:*')).toEqual([])
  })

  it('is done although it came before the first producer', async () => {
    const id = await send('source', 'shop')
    await using _producer = await start()
    expect(await answerTo(id)).toMatchObject({ outcome: 'accepted' })
  })

  it('meanwhile is told which run stands for it', async () => {
    await using _producer = await start()
    const first = await answerTo(await send('source', 'shop'))
    expect(await answerTo(await send('source', 'shop'))).toMatchObject({
      outcome: 'overlap',
      run: first['run'],
    })
  })

  it.each([
    [
      'of a source that does not exist',
      ['source', 'nosuch'],
      'SOURCE_UNKNOWN',
      'There is no source “nosuch”',
    ],
    ['without a source', ['database', 'shop'], 'PAYLOAD_INVALID', 'source'],
    ['with an option that does not exist', ['source', 'shop', 'level', '3'], 'PAYLOAD_INVALID', 'level'],
    ['with a wrong option', ['source', 'shop', 'compression', 'lz4'], 'PAYLOAD_INVALID', 'zstd'],
    ['with a source that leads elsewhere', ['source', '../../etc'], 'PAYLOAD_INVALID', 'source'],
  ])(
    '%s is refused with the reason, recorded, and the next one is done',
    async (_what, fields, code, said) => {
      await using _producer = await start()
      const answer = await answerTo(await send(...fields))
      expect(answer).toMatchObject({ outcome: 'refused', code, error: expect.stringContaining(said) })
      expect((await recentActions(redis, 1))[0]).toMatchObject({
        what: 'refuse',
        detail: expect.stringContaining(code),
      })
      expect(await answerTo(await send('source', 'shop'))).toMatchObject({ outcome: 'accepted' })
    },
  )

  it('with an id of its own that is no time is done, and so are those after it', async () => {
    await using _producer = await start()
    const id = (await redis.xadd(stream, '9999999999999999-0', 'source', 'shop')) ?? ''
    const answer = await answerTo(id)
    expect(answer).toMatchObject({ outcome: 'accepted' })
    const { requestedAt } = (await queues.get('run').getJob(answer['run'] ?? ''))?.data as {
      requestedAt: string
    }
    expect(Date.parse(requestedAt)).toBeLessThanOrEqual(Date.now())
    expect(await answerTo(await send('source', 'shop'))).toMatchObject({ outcome: 'overlap' })
  })

  it('with a name that would rule a terminal is told as one harmless line', async () => {
    await using _producer = await start()
    await answerTo(await send('source', 'x\u001b[2J\u001b]0;pwn\u0007\nPaused: everything'))
    const [action] = await recentActions(redis, 1)
    if (action === undefined) throw new Error('Nothing was recorded.')
    expect(describeAction(action)).toMatch(/^refused x�\[2J�\]0;pwn��Paused: everything \(trigger /)
  })

  it('for a paused source is refused with the line that resumes it', async () => {
    await using _producer = await start()
    await pause(redis, 'shop', 'anna', new Date())
    expect(await answerTo(await send('source', 'shop'))).toMatchObject({
      code: 'SOURCE_PAUSED',
      hint: expect.stringContaining('resume shop'),
    })
  })
})

describe('a trigger that a producer took and did not finish', () => {
  it('is taken over by another one, and becomes one run however often it is delivered', async () => {
    {
      await using _producer = await start()
      await answerTo(await send('source', 'nosuch'))
    }
    const id = await send('source', 'shop')
    // A producer that dies before it asks, and one that dies before it answers.
    await redis.xreadgroup('GROUP', 'producers', 'dead-1', 'COUNT', 1, 'STREAMS', stream, '>')
    await using _one = await start()
    await using _other = await start()
    const { run = '' } = await answerTo(id)
    expect(await answersTo(id)).toHaveLength(1)
    expect(await queues.get('run').getJobCounts('waiting')).toEqual({ waiting: 1 })
    expect(await queues.get('run').getJobState(run)).toBe('waiting')
  })

  it('after it had asked gets the run that was asked for then', async () => {
    {
      await using _producer = await start()
      await answerTo(await send('source', 'nosuch'))
    }
    const id = await send('source', 'shop')
    await redis.xreadgroup('GROUP', 'producers', 'dead-2', 'COUNT', 1, 'STREAMS', stream, '>')
    const run = 'shop.20261123T020000Z.0001'
    await redis.set(`${stream}:run:${id}`, run)
    await queues.add('run', run, {
      v: 1,
      source: 'shop',
      requestedBy: `trigger ${id}`,
      requestedAt: '2026-11-23T02:00:00.000Z',
      options: {},
    })
    await using _producer = await start()
    expect(await answerTo(id)).toMatchObject({ outcome: 'accepted', run })
    expect(await queues.get('run').getJobCounts('waiting')).toEqual({ waiting: 1 })
  })
})

describe('with two producers', () => {
  it('each of fifty triggers is answered once', async () => {
    await using _one = await start()
    await using _other = await start()
    const ids = await Promise.all(Array.from({ length: 50 }, () => send('source', 'shop')))
    for (const id of ids) await answerTo(id)
    expect(await redis.xlen(answers)).toBe(50)
    expect(await queues.get('run').getJobCounts('waiting')).toEqual({ waiting: 1 })
  })
})

it('goes on with triggers after Redis lost its data', async () => {
  await using _producer = await start()
  await answerTo(await send('source', 'nosuch'))
  await redis.flushall()
  expect(await answerTo(await send('source', 'shop'))).toMatchObject({ outcome: 'accepted' })
})

it('writes into its log what people do', async () => {
  const log = new PassThrough()
  let said = ''
  log.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await using _producer = await start(log)
  await pause(redis, 'shop', 'command line (anna)', new Date())
  await until(() => Promise.resolve(said.includes('Paused shop (command line (anna))')))
})

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come to that within 20 seconds')
    await wait(20)
  }
}
