import { afterAll, beforeAll, describe, expect } from '@jest/globals'
import { type Config, loadConfig } from '@securyflex/shared/config'
import { type RunReport, writeReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { createLogger } from '@securyflex/shared/logging'
import { prefix, Queues } from '@securyflex/shared/queue'
import { openStorage } from '@securyflex/shared/storage'
import { UnrecoverableError, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { type Browser, chromium, type Page } from 'playwright-core'
import { startRedis, type TestRedis } from '../../../test/helpers/redis.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../test/helpers/temporary-directory.ts'
import { testWhere } from '../../../test/helpers/test-where.ts'
import { type RunningDashboard, startDashboard } from './start.ts'

const executablePath = '/usr/bin/chromium'
const installed = existsSync(executablePath)
const inBrowser = testWhere(installed, `there is no ${executablePath}; on Debian: apt-get install chromium`)
const password = 'horse staple 4a7c'

let redis: TestRedis
let directory: TemporaryDirectory
let dashboard: RunningDashboard
let client: Redis
let queues: Queues
let browser: Browser

beforeAll(async () => {
  if (!installed) return
  redis = await startRedis()
  directory = await temporaryDirectory()
  const env = {
    DATABASE_URL: 'postgresql://backup@localhost/shop',
    REDIS_URL: redis.url,
    DASHBOARD_PORT: '0',
    DASHBOARD_USER: 'anna',
    DASHBOARD_PASSWORD: password,
  }
  const config = loadConfig({ env, directory: directory.path, needs: ['redis'] })
  const logger = createLogger({ name: 'dashboard', stream: new PassThrough().resume() })
  await failedRun(config)
  dashboard = await startDashboard(config, { logger })
  client = new Redis(redis.url, { maxRetriesPerRequest: null })
  queues = new Queues(client, 60_000)
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-quic'] })
})

afterAll(async () => {
  if (!installed) return
  await browser.close()
  await queues.close()
  client.disconnect()
  await dashboard.close()
  await redis.stop()
  await directory.remove()
})

describe('in a browser', () => {
  inBrowser(
    'the first page leads to the queues, whose failed job is retried by a click and not removed',
    async () => {
      const job = await failedNotification()
      await using visit = await open({ width: 1280, height: 900 })
      const { page } = visit
      await page.goto(dashboard.address)
      await page.getByRole('link', { name: 'Queues' }).click()
      for (const name of ['schedule', 'run', 'dump', 'upload-local', 'notify']) {
        await page.getByText(name, { exact: true }).first().waitFor()
      }
      await page.goto(`${dashboard.address}board/queue/notify?status=failed`)
      await page.getByText('no answer').first().waitFor()
      // Its buttons are icons without a name: retry, duplicate, edit, remove.
      const buttons = page.locator('[class*=jobActions] button')
      await buttons.last().click()
      await page.getByRole('button', { name: 'Confirm' }).click()
      await page.getByText('Jobs are not removed by hand').waitFor()
      await buttons.first().click()
      const retried = page.waitForResponse((response) => response.url().endsWith('/notify/n1/retry'))
      await page.getByRole('button', { name: 'Confirm' }).click()
      expect((await retried).status()).toBe(204)
      expect(await job.getState()).toBe('waiting')
      expect(visit.errors.filter((error) => !error.includes('403'))).toEqual([])
    },
  )

  inBrowser('the schedule’s next job is shown without a way to promote or remove it', async () => {
    await queues
      .get('schedule')
      .upsertJobScheduler(
        'shop',
        { pattern: '0 2 * * *', tz: 'UTC' },
        { name: 'schedule', data: { v: 1, source: 'shop' } },
      )
    await using visit = await open({ width: 1280, height: 900 })
    await visit.page.goto(`${dashboard.address}board/queue/schedule?status=delayed`)
    await visit.page.getByText('repeat:shop:').first().waitFor()
    expect(await visit.page.locator('[class*=jobActions] button, [class*=queueActions] button').count()).toBe(
      0,
    )
  })

  inBrowser('the first page fits a phone and a desktop, however long a reason is', async () => {
    for (const width of [360, 1280]) {
      await using visit = await open({ width, height: 740 })
      await visit.page.goto(dashboard.address)
      await visit.page.getByText('failed', { exact: true }).waitFor()
      expect(await visit.page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
      expect(visit.errors).toEqual([])
    }
  })
})

/** A page of a visitor who is logged in; `errors` are what the page's own code complains of. */
async function open(viewport: { width: number; height: number }) {
  const context = await browser.newContext({ viewport, httpCredentials: { username: 'anna', password } })
  const page: Page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('console', (message) => {
    // Bull Board asks for a font elsewhere, which is refused on purpose.
    if (message.type() === 'error' && !message.text().includes('fonts.googleapis.com'))
      errors.push(message.text())
  })
  return { page, errors, [Symbol.asyncDispose]: () => context.close() }
}

/** A report whose reason does not fit in a line. */
async function failedRun({ destinations }: Config): Promise<void> {
  const time = '2026-11-22T02:00:00Z'
  const [destination] = destinations
  if (destination === undefined) throw new Error('There is always a destination.')
  const report: RunReport = {
    format: 1,
    kind: 'run',
    run: 'shop.20261122T020000Z.0001',
    source: 'shop',
    outcome: 'failed',
    requestedBy: 'test',
    requestedAt: time,
    startedAt: time,
    finishedAt: time,
    reason: `The database did not answer${' and again'.repeat(30)}: ${'x'.repeat(300)}.`,
    bytes: 596_000_000,
    destinations: [],
    notifications: [],
    warnings: [],
    overlaps: 0,
    generation: 0,
  }
  const keys = new KeyRing({ current: undefined, previous: [] })
  expect(await writeReport([await openStorage(destination)], report, keys)).toEqual([])
}

async function failedNotification() {
  const job = await queues.add('notify', 'n1', {
    v: 1,
    run: 'r1',
    source: 'shop',
    channel: 'log',
    message: {},
  })
  const worker = new Worker('notify', () => Promise.reject(new UnrecoverableError('no answer')), {
    prefix,
    connection: { url: redis.url, maxRetriesPerRequest: null },
  })
  await once(worker, 'failed')
  await worker.close()
  return job
}
