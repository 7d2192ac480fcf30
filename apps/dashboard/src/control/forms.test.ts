import { PassThrough } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { loadConfig } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { listPauses, Queues, recentActions } from '@securyflex/shared/queue'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { startDashboard } from '../start.ts'

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

async function start() {
  const env = {
    REDIS_URL: server.url,
    DATABASE_URL: 'postgresql://backup@localhost:5432/shop',
    BACKUP_DIR: directory.join('backups'),
    DASHBOARD_PORT: '0',
  }
  const config = loadConfig({ env, directory: directory.path, needs: ['redis'] })
  const logger = createLogger({ name: 'dashboard', level: 'error', stream: new PassThrough().resume() })
  const dashboard = await startDashboard(config, { logger })
  while (!(await fetch(`${dashboard.address}board/api/queues`)).ok) await wait(20)
  return dashboard
}

const press = (address: string, does: string, form: Record<string, string>, site = 'same-origin') =>
  fetch(`${address}control/${does}`, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams(form),
    headers: { 'sec-fetch-site': site },
  })

const pageOf = async (address: string) => (await fetch(address)).text()

describe('the buttons of the first page', () => {
  it('pause and resume a source, and the page shows it', async () => {
    await using dashboard = await start()
    const { address } = dashboard
    expect(await pageOf(address)).toMatch(/action="\/control\/backup"/)
    expect((await press(address, 'pause', { source: 'shop' })).status).toBe(303)
    expect(await listPauses(redis)).toMatchObject([
      { subject: 'shop', by: expect.stringMatching(/^dashboard \(/) },
    ])
    const paused = await pageOf(address)
    expect(paused).toMatch(/paused<[^]*action="\/control\/resume"/)
    expect(paused).toContain('Last done by people and schedules')
    const refused = await press(address, 'backup', { source: 'shop' })
    expect(refused.status).toBe(409)
    expect(await refused.text()).toContain('resume shop')
    expect((await press(address, 'resume', { source: 'shop' })).status).toBe(303)
    expect(await listPauses(redis)).toEqual([])
  })

  it('ask for a run and cancel it; a waiting run says what it waits for', async () => {
    await using dashboard = await start()
    const { address } = dashboard
    expect((await press(address, 'backup', { source: 'shop' })).status).toBe(303)
    const [job] = await queues.get('run').getWaiting()
    await job?.updateProgress({ waitsFor: 'server main: 2 of 2 runs' })
    expect(await pageOf(address)).toContain('waits for server main: 2 of 2 runs')
    expect((await press(address, 'cancel', { run: job?.id ?? '' })).status).toBe(303)
    expect((await recentActions(redis, 1))[0]).toMatchObject({ what: 'cancel', subject: job?.id })
    expect((await press(address, 'retry', { run: job?.id ?? '' })).status).toBe(409)
  })

  it('have a failed run start over, and write down who wanted that', async () => {
    await using dashboard = await start()
    const { address } = dashboard
    await press(address, 'backup', { source: 'shop' })
    const run = (await queues.get('run').getWaiting())[0]?.id ?? ''
    const worker = new Worker('run', () => Promise.reject(new Error('no')), {
      prefix: 'securyflex',
      connection: { host: server.host, port: server.port, maxRetriesPerRequest: null },
    })
    while ((await queues.get('run').getJobState(run)) !== 'failed') await wait(20)
    await worker.close()
    expect((await press(address, 'retry', { run })).status).toBe(303)
    expect(await queues.get('run').getJobState(run)).toBe('waiting')
    const by = expect.stringMatching(/^dashboard \(/)
    expect(await recentActions(redis, 1)).toMatchObject([{ by, what: 'retry', subject: run }])
  })

  it('do nothing for a page of another site', async () => {
    await using dashboard = await start()
    expect((await press(dashboard.address, 'pause', { source: 'shop' }, 'cross-site')).status).toBe(403)
    expect(await listPauses(redis)).toEqual([])
  })
})
