import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { loadConfig } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { Queues, recentActions } from '@securyflex/shared/queue'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { startDashboard } from '../start.ts'

const token = 'planted-token-5b1e9c70a4d2'

let server: TestRedis
let directory: TemporaryDirectory
let redis: Redis
let queues: Queues

beforeAll(async () => {
  server = await startRedis()
  directory = await temporaryDirectory()
  redis = new Redis(server.url, { maxRetriesPerRequest: null })
  queues = new Queues(redis, 10)
})
afterAll(async () => {
  await queues.close()
  redis.disconnect()
  await server.stop()
  await directory.remove()
})
beforeEach(() => redis.flushall())

async function start(extra: Record<string, string> = {}, log = new PassThrough().resume()) {
  const env = {
    REDIS_URL: server.url,
    DATABASE_URL: 'postgresql://backup@localhost:5432/shop',
    BACKUP_DIR: directory.join('backups'),
    BACKUP_API_TOKEN: token,
    DASHBOARD_PORT: '0',
    ...extra,
  }
  const config = loadConfig({ env, directory: directory.path, needs: ['redis'] })
  const logger = createLogger({ name: 'dashboard', level: 'info', stream: log })
  const dashboard = await startDashboard(config, { logger })
  const ready = `${dashboard.address}healthz`
  while (!(await fetch(ready)).ok) await wait(20)
  return dashboard
}

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function call(
  address: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = { authorization: `Bearer ${token}` },
): Promise<Answer> {
  const answer = await fetch(`${address}api/v1${path}`, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

const codeOf = ({ body }: Answer) => (body['error'] as { code: string }).code

describe('a request for a run', () => {
  it('is answered with its id, and the run can be asked after', async () => {
    await using dashboard = await start()
    const options = { compression: 'gzip:6', retentionDays: 7 }
    const { status, body } = await call(dashboard.address, 'POST', '/runs', { source: 'shop', options })
    expect([status, body]).toEqual([202, { run: expect.stringMatching(/^shop\./), accepted: true }])
    const run = String(body['run'])
    expect((await queues.get('run').getJob(run))?.data).toMatchObject({
      requestedBy: expect.stringMatching(/^API \(.*127\.0\.0\.1\)$/),
      options: { compression: { algorithm: 'gzip', level: 6 }, retentionDays: 7 },
    })
    expect(await call(dashboard.address, 'GET', `/runs/${run}`)).toEqual({
      status: 200,
      body: { run, source: 'shop', state: 'waiting' },
    })
    expect((await call(dashboard.address, 'GET', '/runs')).body).toEqual({
      underWay: [{ run, source: 'shop', state: 'waiting' }],
      reports: [],
    })
    const again = await call(dashboard.address, 'POST', '/runs', { source: 'shop' })
    expect(again).toEqual({ status: 202, body: { run, accepted: false } })
  })

  it.each([
    ['an unknown source', { source: 'nosuch' }, 404, 'SOURCE_UNKNOWN'],
    ['no source', {}, 400, 'PAYLOAD_INVALID'],
    ['an option that does not exist', { source: 'shop', options: { level: 3 } }, 400, 'PAYLOAD_INVALID'],
    ['what is no JSON', '{"source": ', 400, 'PAYLOAD_INVALID'],
    ['a list', [], 400, 'PAYLOAD_INVALID'],
    ['too much', { source: 'x'.repeat(20_000) }, 413, 'PAYLOAD_INVALID'],
  ])('with %s is refused with the reason, and asks for nothing', async (_what, body, status, code) => {
    await using dashboard = await start()
    const answer = await call(dashboard.address, 'POST', '/runs', body)
    expect([answer.status, codeOf(answer)]).toEqual([status, code])
    expect(await queues.get('run').getJobCounts('waiting')).toEqual({ waiting: 0 })
  })

  it('that is not sent as JSON is refused', async () => {
    await using dashboard = await start()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'text/plain' }
    const answer = await fetch(`${dashboard.address}api/v1/runs`, {
      method: 'POST',
      headers,
      body: '{"source":"shop"}',
    })
    expect(answer.status).toBe(400)
  })

  it('and after a run that there is not, say so', async () => {
    await using dashboard = await start()
    for (const path of ['/runs/shop.20261123T020000Z.3fa2', '/runs/..%2F..%2Fetc', '/nowhere']) {
      expect((await call(dashboard.address, 'GET', path)).status).toBe(404)
    }
  })
})

describe('the token', () => {
  it('is needed for everything, whatever else is right, and is shown nowhere', async () => {
    const log = new PassThrough()
    const lines = text(log)
    {
      await using dashboard = await start({}, log)
      for (const headers of [
        {},
        { authorization: `Bearer ${token}x` },
        { authorization: `Basic ${token}` },
      ]) {
        const answer = await call(dashboard.address, 'POST', '/runs', { source: 'shop' }, headers)
        expect([answer.status, codeOf(answer)]).toEqual([401, 'TOKEN_WRONG'])
      }
    }
    log.end()
    expect(await lines).toContain('A wrong token was given at the API.')
    expect(await lines).not.toContain(token)
  })

  it('may not be guessed: after ten wrong ones even the right one waits', async () => {
    await using dashboard = await start()
    const wrong = { authorization: 'Bearer wrong' }
    for (let time = 1; time <= 10; time++) await call(dashboard.address, 'GET', '/runs', undefined, wrong)
    const answer = await call(dashboard.address, 'GET', '/runs')
    expect([answer.status, codeOf(answer)]).toEqual([429, 'TOO_MANY'])
  })

  it('that is not configured turns the API off, and says so', async () => {
    await using dashboard = await start({ BACKUP_API_TOKEN: '' })
    const answer = await call(dashboard.address, 'POST', '/runs', { source: 'shop' })
    expect([answer.status, codeOf(answer)]).toEqual([404, 'API_OFF'])
  })

  it('is no password for the pages, nor the password one for the API', async () => {
    await using dashboard = await start({
      DASHBOARD_USER: 'anna',
      DASHBOARD_PASSWORD: 'horse staple 4a7c',
    })
    expect((await fetch(dashboard.address, { headers: { authorization: `Bearer ${token}` } })).status).toBe(
      401,
    )
    const login = `Basic ${Buffer.from('anna:horse staple 4a7c').toString('base64')}`
    expect((await call(dashboard.address, 'GET', '/runs', undefined, { authorization: login })).status).toBe(
      401,
    )
    expect((await call(dashboard.address, 'GET', '/runs')).status).toBe(200)
  })

  it('does not help a page of another site', async () => {
    await using dashboard = await start()
    const headers = { authorization: `Bearer ${token}`, 'sec-fetch-site': 'cross-site' }
    const answer = await fetch(`${dashboard.address}api/v1/runs`, { method: 'POST', headers })
    expect(answer.status).toBe(403)
  })
})

describe('pause, resume, cancel and retry', () => {
  it('do what the command line does, and say by whom', async () => {
    await using dashboard = await start()
    const { address } = dashboard
    expect((await call(address, 'POST', '/pause', { source: 'shop' })).body).toEqual({
      paused: 'shop',
      changed: true,
    })
    const refused = await call(address, 'POST', '/runs', { source: 'shop' })
    expect([refused.status, codeOf(refused)]).toEqual([409, 'SOURCE_PAUSED'])
    expect((await call(address, 'POST', '/resume', { source: 'shop' })).body).toEqual({
      resumed: ['shop'],
      changed: true,
    })
    const run = String((await call(address, 'POST', '/runs', { source: 'shop' })).body['run'])
    expect((await call(address, 'POST', `/runs/${run}/retry`)).status).toBe(409)
    expect((await call(address, 'POST', `/runs/${run}/cancel`)).status).toBe(202)
    const { paused, actions } = (await call(address, 'GET', '/control')).body
    expect(paused).toEqual([])
    expect((actions as { what: string }[]).map(({ what }) => what)).toEqual(['cancel', 'resume', 'pause'])
    expect((await recentActions(redis, 1))[0]?.by).toMatch(/^API \(/)
  })

  it('of everything is asked for without a body, and not by one that is not understood', async () => {
    await using dashboard = await start()
    const post = (path: string, headers: Record<string, string>, body: string) =>
      fetch(`${dashboard.address}api/v1${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, ...headers },
        body,
      })
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    for (const headers of [form, { 'content-type': 'text/plain' }]) {
      expect((await post('/pause', headers, '{"source":"shop"}')).status).toBe(400)
    }
    expect((await post('/pause', { 'content-type': 'application/json' }, '["shop"]')).status).toBe(400)
    expect((await call(dashboard.address, 'GET', '/control')).body).toEqual({ paused: [], actions: [] })

    expect((await call(dashboard.address, 'POST', '/pause')).body).toEqual({ paused: '*', changed: true })
    await call(dashboard.address, 'POST', '/pause', { source: 'shop' })
    const ended = await call(dashboard.address, 'POST', '/resume')
    expect(ended).toEqual({ status: 200, body: { resumed: ['*', 'shop'], changed: true } })
    expect((await call(dashboard.address, 'POST', '/resume')).body).toEqual({ resumed: [], changed: false })
  })

  it('retry a failed run only', async () => {
    await using dashboard = await start()
    const run = String((await call(dashboard.address, 'POST', '/runs', { source: 'shop' })).body['run'])
    const worker = new Worker('run', () => Promise.reject(new Error('no')), {
      prefix: 'securyflex',
      connection: { host: server.host, port: server.port, maxRetriesPerRequest: null },
    })
    while ((await queues.get('run').getJobState(run)) !== 'failed') await wait(20)
    await worker.close()
    expect(await call(dashboard.address, 'POST', `/runs/${run}/retry`)).toEqual({
      status: 202,
      body: { run, state: 'waiting' },
    })
    expect(await queues.get('run').getJobState(run)).toBe('waiting')
    const by = expect.stringMatching(/^API \(/)
    expect(await recentActions(redis, 1)).toMatchObject([{ by, what: 'retry', subject: run }])
  })

  it('of what there is not are refused', async () => {
    await using dashboard = await start()
    const statuses = await Promise.all([
      call(dashboard.address, 'POST', '/pause', { source: 'nosuch' }),
      call(dashboard.address, 'POST', '/pause', { everything: true }),
      call(dashboard.address, 'POST', '/runs/shop.20261123T020000Z.3fa2/cancel'),
    ])
    expect(statuses.map(({ status }) => status)).toEqual([404, 400, 404])
  })
})

it('says that Redis is away, and answers again when it is back', async () => {
  await using own = await startRedis()
  await using dashboard = await start({ REDIS_URL: own.url })
  await own.kill()
  while ((await fetch(`${dashboard.address}healthz`)).ok) await wait(20)
  const answer = await call(dashboard.address, 'POST', '/runs', { source: 'shop' })
  expect([answer.status, codeOf(answer)]).toEqual([503, 'REDIS_UNREACHABLE'])
  expect((await call(dashboard.address, 'GET', '/runs')).body).toEqual({ underWay: null, reports: [] })
  await own.restart()
  while ((await call(dashboard.address, 'POST', '/runs', { source: 'shop' })).status !== 202) await wait(20)
})
