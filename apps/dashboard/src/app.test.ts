import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { loadConfig } from '@securyflex/shared/config'
import { KeyRing } from '@securyflex/shared/keys'
import { createLogger } from '@securyflex/shared/logging'
import { writeReport } from '@securyflex/shared/history'
import { openStorage } from '@securyflex/shared/storage'
import { once } from 'node:events'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { freePort } from '../../../test/helpers/free-port.ts'
import { startRedis, type TestRedis } from '../../../test/helpers/redis.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../test/helpers/temporary-directory.ts'
import { startDashboard } from './start.ts'

const password = 'horse staple 4a7c'
const withPassword = { DASHBOARD_USER: 'anna', DASHBOARD_PASSWORD: password }
const database = 'postgresql://backup:planted-9e1b@localhost:5432/shop'

let redis: TestRedis
let directory: TemporaryDirectory

beforeAll(async () => {
  redis = await startRedis()
  directory = await temporaryDirectory()
})

afterAll(async () => {
  await redis.stop()
  await directory.remove()
})

describe('the first page', () => {
  it('says what to type when no database is configured', async () => {
    await using dashboard = await start()
    const page = await getText(dashboard.address)
    expect(page).toContain('No database is configured')
    expect(page).toContain('DATABASE_URL=postgresql://backup:password@localhost:5432/shop npm start')
    expect(page).toContain('npm run backup')
  })

  it('shows runs as their reports tell them, and nothing hostile or secret as it is', async () => {
    await report('shop.20261122T020000Z.0001', 'success')
    await report('shop.20261123T020000Z.0002', 'failed', '<script>alert(1)</script> planted-9e1b')
    await using dashboard = await start({ DATABASE_URL: database })
    const page = await getText(dashboard.address)
    expect(page).toMatch(/failed[^]*success/)
    expect(page).toContain('Sun 22 Nov 2026, 03:00')
    expect(page).toContain('postgresql://backup@localhost:5432/shop')
    expect(page).toContain('&lt;script&gt;')
    expect(page).not.toMatch(/<script|planted-9e1b/)
  })

  it('runs no script and is framed by nobody', async () => {
    await using dashboard = await start()
    const { headers } = await fetch(dashboard.address)
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
  })
})

describe('the health check', () => {
  it('needs no password and follows Redis down and up again, and so do the pages', async () => {
    await using own = await startRedis()
    await using dashboard = await start({ ...withPassword, REDIS_URL: own.url })
    await until(async () => (await health(dashboard.address)).status === 200)
    expect((await health(dashboard.address)).body).toEqual({ status: 'ok', redis: 'ok' })

    await own.kill()
    await until(async () => (await health(dashboard.address)).status === 503)
    expect((await health(dashboard.address)).body).toEqual({ status: 'unavailable', redis: 'unreachable' })
    expect(await getText(dashboard.address, login(password))).toContain('does not answer')
    expect((await fetch(`${dashboard.address}board/`, login(password))).status).toBe(503)

    await own.restart()
    await until(async () => (await health(dashboard.address)).status === 200)
    expect((await fetch(`${dashboard.address}board/api/queues`, login(password))).status).toBe(200)
  })

  it('does not wait for a Redis that has stopped answering', async () => {
    await using own = await startRedis()
    await using dashboard = await start({ REDIS_URL: own.url })
    await until(async () => (await health(dashboard.address)).status === 200)
    own.pause()
    expect((await health(dashboard.address)).status).toBe(503)
    own.resume()
    await until(async () => (await health(dashboard.address)).status === 200)
  })
})

it('starts while Redis is down, says so, and shows the queues once it is there', async () => {
  await using own = await startRedis()
  await own.kill()
  await using dashboard = await start({ REDIS_URL: own.url })
  expect(await getText(dashboard.address)).toContain(`Redis at redis://127.0.0.1:${own.port} does not answer`)
  const board = await fetch(`${dashboard.address}board/api/queues`)
  expect([board.status, await board.json()]).toEqual([
    503,
    expect.objectContaining({ message: expect.any(String) }),
  ])

  await own.restart()
  await until(async () => (await fetch(`${dashboard.address}board/api/queues`)).ok)
  expect(await getText(dashboard.address)).toContain('No worker is running')
})

describe('the password', () => {
  it('is asked for on every page but the health check', async () => {
    await using dashboard = await start(withPassword)
    for (const path of ['', 'board/', 'board/api/queues', 'board/static/images/logo.svg', 'nowhere']) {
      const answer = await fetch(dashboard.address + path)
      expect([path, answer.status, answer.headers.get('www-authenticate')]).toEqual([
        path,
        401,
        expect.stringContaining('Basic'),
      ])
    }
    expect((await fetch(dashboard.address, login(password))).status).toBe(200)
    expect((await fetch(`${dashboard.address}nowhere`, login(password))).status).toBe(404)
  })

  it('is not logged when it is wrong, and ten wrong ones make even the right one wait', async () => {
    const log = new PassThrough()
    const lines = text(log)
    {
      await using dashboard = await start(withPassword, log)
      for (let time = 1; time <= 10; time += 1) {
        expect((await fetch(dashboard.address, login('guess-5d2f'))).status).toBe(401)
      }
      const refused = await fetch(dashboard.address, login(password))
      expect(refused.status).toBe(429)
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    log.end()
    expect(await lines).toContain('wrong user or password')
    expect(await lines).not.toMatch(/guess-5d2f|horse staple|anna/)
  })

  it('is demanded where others reach the dashboard, whoever made the configuration', async () => {
    const config = configured({})
    const open = { ...config, dashboard: { ...config.dashboard, host: '0.0.0.0' } }
    await expect(startDashboard(open)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('requests by way of other sites', () => {
  it('are refused when they name a foreign host, and taken at any port of this one', async () => {
    await using dashboard = await start()
    expect(await statusFor(dashboard.address, 'evil.example')).toBe(421)
    expect(await statusFor(dashboard.address, 'evil.example:3000')).toBe(421)
    expect(await statusFor(dashboard.address, 'localhost:8080')).toBe(200)
    expect(await statusFor(dashboard.address, '[::1]:3000')).toBe(200)
  })

  it.each([
    [{ 'Sec-Fetch-Site': 'cross-site' }, 403],
    [{ 'Sec-Fetch-Site': 'same-site' }, 403],
    [{ Origin: 'http://evil.example' }, 403],
    [{ Origin: 'null' }, 403],
    [{ 'Sec-Fetch-Site': 'same-origin' }, 404],
    [{}, 404],
  ])('may not change anything: %p is answered with %p', async (headers, status) => {
    await using dashboard = await start()
    const answer = await fetch(`${dashboard.address}nowhere`, {
      method: 'PUT',
      headers: headers as Record<string, string>,
    })
    expect(answer.status).toBe(status)
  })
})

it('names a port that is taken, and another one to type', async () => {
  const port = await freePort()
  await using _first = await start({ DASHBOARD_PORT: String(port) })
  await expect(start({ DASHBOARD_PORT: String(port) })).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    message: expect.stringContaining(String(port)),
    hint: expect.stringContaining(`DASHBOARD_PORT=${port + 1} npm start`),
  })
})

it('needs the address of a Redis', async () => {
  const { redis: _, ...config } = configured({})
  await expect(startDashboard({ ...config, redis: undefined })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
})

it('prints the tunnel’s line in an ssh session', async () => {
  const log = new PassThrough()
  const lines = text(log)
  {
    await using _dashboard = await start({ SSH_CONNECTION: '203.0.113.7 51234 198.51.100.4 22' }, log)
  }
  log.end()
  expect(await lines).toMatch(
    /ssh -L (\d+):127\.0\.0\.1:\1 \S+@198\.51\.100\.4\n[^]*http:\/\/127\.0\.0\.1:\d+\//,
  )
})

function configured(env: Record<string, string>) {
  return loadConfig({
    env: { REDIS_URL: redis.url, DASHBOARD_PORT: '0', ...env },
    directory: directory.path,
    needs: ['redis'],
  })
}

function start(env: Record<string, string> = {}, log = new PassThrough().resume()) {
  return startDashboard(configured(env), { logger: createLogger({ name: 'dashboard', stream: log }) })
}

async function report(run: string, outcome: 'success' | 'failed', reason?: string): Promise<void> {
  const [destination] = configured({}).destinations
  if (destination === undefined) throw new Error('There is always a destination.')
  const problems = await writeReport(
    [await openStorage(destination)],
    {
      format: 1,
      kind: 'run',
      run,
      source: 'shop',
      outcome,
      requestedBy: 'test',
      requestedAt: '2026-11-22T02:00:00Z',
      startedAt: '2026-11-22T02:00:00Z',
      finishedAt: '2026-11-22T02:01:10Z',
      ...(reason === undefined ? {} : { reason }),
      bytes: 596_000_000,
      destinations: [{ name: 'local', outcome: 'sealed', stored: { segments: 5, bytes: 1_200_000 } }],
      notifications: [],
      warnings: [],
      overlaps: 0,
      generation: 0,
    },
    new KeyRing({ current: undefined, previous: [] }),
  )
  expect(problems).toEqual([])
}

function login(typed: string): RequestInit {
  return { headers: { authorization: `Basic ${Buffer.from(`anna:${typed}`).toString('base64')}` } }
}

async function getText(address: string, init?: RequestInit): Promise<string> {
  return (await fetch(address, init)).text()
}

async function health(address: string): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`${address}healthz`)
  return { status: answer.status, body: await answer.json() }
}

/** The status for a request that names `host`, which fetch does not let one choose. */
async function statusFor(address: string, host: string): Promise<number | undefined> {
  const request = httpRequest(address, { headers: { host }, agent: false }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode
}

/** Looks again until it holds; fails after ten seconds. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('It did not come true within ten seconds.')
  }
}
