import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import { connectOrFail } from '@securyflex/shared/queue'
import { Redis } from 'ioredis'
import { type Certificates, makeCertificates } from '../helpers/certificates.ts'
import { type RunningCommand, startCommand, until } from '../helpers/command.ts'
import { freePort } from '../helpers/free-port.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Ran, runCommand } from '../helpers/run-command.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

jest.setTimeout(180_000)

const document = readFileSync(resolve(import.meta.dirname, '../../docs/redis.md'), 'utf8')
const token = 'a token of at least 24 characters'.replaceAll(' ', '-')

/** The rule of docs/redis.md for `user`, with this password, as words of a command. */
function rule(user: string): [string, ...string[]] {
  const line = document.split('\n').find((one) => one.startsWith(`ACL SETUSER ${user} `))
  if (line === undefined) throw new Error(`docs/redis.md has no rule for ${user}.`)
  return line.replace('<password>', 'pa@ss').split(' ') as [string, ...string[]]
}

/** Needed by what does not happen here: the removal of old jobs, and of producers that went away. */
const rare = ['xgroup|delconsumer', 'zremrangebyscore']

let directory: TemporaryDirectory
let certificates: Certificates
let installation: Installation
let administrator: Redis

beforeAll(async () => {
  directory = await temporaryDirectory()
  certificates = makeCertificates(directory)
  const port = String(await freePort())
  const redis = await startRedis({
    'tls-port': port,
    'tls-cert-file': certificates.server.certificate,
    'tls-key-file': certificates.server.key,
    'tls-ca-cert-file': certificates.ca,
    'tls-auth-clients': 'yes',
  })
  administrator = new Redis(redis.url)
  await administrator.call(...rule('securyflex'))
  installation = await startInstallation(
    {
      REDIS_URL: `rediss://securyflex:pa%40ss@localhost:${port}`,
      REDIS_TLS_CA: certificates.ca,
      REDIS_TLS_CERT: certificates.client.certificate,
      REDIS_TLS_KEY: certificates.client.key,
      DASHBOARD_PORT: '0',
      BACKUP_API_TOKEN: token,
    },
    undefined,
    redis,
  )
  await installation.database.query(
    'CREATE TABLE orders AS SELECT n, md5(n::text) FROM generate_series(1, 500) n',
  )
})

afterAll(async () => {
  administrator.disconnect()
  await installation[Symbol.asyncDispose]()
  await directory.remove()
})

const command = (...args: string[]): Promise<Ran> =>
  runCommand(args, { directory: directory.path, env: installation.env, timeout: 60_000 })

async function succeeds(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await command(...args)
  expect({ args, status, stderr }).toMatchObject({ status: 0 })
  return stdout
}

async function startDashboard(): Promise<{ command: RunningCommand; url: string }> {
  const dashboard = startCommand(['dashboard'], { ...installation.env }, directory.path)
  const [, url = ''] = await dashboard.line(/The dashboard is at (\S+)/)
  await until('the queues', async () => (await fetch(`${url}board/api/queues`)).ok)
  return { command: dashboard, url }
}

describe('the user of docs/redis.md, with TLS and a certificate of its own', () => {
  it('is enough for a backup, its schedule, status, and every command that asks for something', async () => {
    await using worker = await installation.startWorker()
    await using producer = await installation.startProducer()
    expect(await succeeds('config', 'check')).toMatch(/Redis.*rediss:\/\/localhost/)
    await succeeds('backup')
    expect(await succeeds('status')).toMatch(/workers serve every queue[^]*shop: success/)
    await succeeds('pause', 'shop')
    expect((await command('enqueue-job', 'shop')).status).toBe(12)
    await succeeds('resume', 'shop')
    await succeeds('health')
    expect([worker.process.exitCode, producer.process.exitCode]).toEqual([null, null])
  })

  it('is enough to cancel, to retry, and for a trigger through the stream', async () => {
    await using _producer = await installation.startProducer()
    const run = (await succeeds('enqueue-job', 'shop')).trim()
    expect((await succeeds('enqueue-job', 'shop')).trim()).toBe(run)
    await succeeds('cancel', run)
    await using _worker = await installation.startWorker()
    await installation.ended(run)
    expect(await installation.report(run)).toMatchObject({ outcome: 'cancelled' })
    await succeeds('retry', run)
    await until('the retried run', async () => (await installation.report(run))?.outcome === 'success')

    await administrator.call(...rule('trigger'))
    const { redis } = installation.config
    if (redis === undefined) throw new Error('no Redis')
    const url = redis.url.reveal().replace('//securyflex:', '//trigger:')
    const other = await connectOrFail({ ...redis, url: new Secret(url, []) })
    const entry = await other.xadd('securyflex:trigger', '*', 'source', 'shop')
    let answer: string[] | undefined
    await until('the answer', async () => {
      const answers = await other.xread('STREAMS', 'securyflex:trigger:answers', '0')
      answer = answers?.[0]?.[1].find(([, fields]) => fields.includes(String(entry)))?.[1]
      return answer !== undefined
    })
    expect(answer).toEqual(expect.arrayContaining(['outcome', 'accepted']))
    await expect(other.hgetall('securyflex:paused')).rejects.toThrow(/NOPERM/)
    other.disconnect()
    await installation.ended(String(answer?.[answer.indexOf('run') + 1]))
  })

  it('is enough for the dashboard: first page, board, a retry there, and the API', async () => {
    await using _worker = await installation.startWorker()
    const { command: dashboard, url } = await startDashboard()
    await using _dashboard = dashboard
    const ask = async (path: string, init?: RequestInit) => {
      const answer = await fetch(url + path, init)
      return { status: answer.status, text: await answer.text() }
    }
    const change = (path: string) =>
      ask(`board/api/queues/${path}`, {
        method: 'PUT',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      })
    const api = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const page = await ask('')
    expect(page.text).toMatch(/shop[^]*success/)
    expect(page.text).not.toContain('does not answer')
    const [past = ''] = /shop\.\d{8}T\d{6}Z\.[0-9a-f]{4}/.exec(page.text) ?? []
    for (const part of ['', '/flow', '/logs']) {
      expect(await ask(`board/api/queues/run/${past}${part}`)).toMatchObject({ status: 200 })
    }
    for (const queue of ['run', 'dump', 'notify']) {
      expect((await ask(`board/api/queues?activeQueue=${queue}&status=completed`)).text).toContain('shop')
    }
    expect((await change('dump/pause')).status).toBe(200)
    expect((await change('dump/resume')).status).toBe(200)
    const asked = await ask('api/v1/runs', { method: 'POST', headers: api, body: '{"source":"shop"}' })
    expect(asked.status).toBe(202)
    const { run } = JSON.parse(asked.text) as { run: string }
    await installation.ended(run)
    expect((await ask(`api/v1/runs/${run}`, { headers: api })).text).toContain('"state":"success"')
    expect((await ask('api/v1/pause', { method: 'POST', headers: api, body: '{}' })).status).toBe(200)
    expect((await ask('api/v1/resume', { method: 'POST', headers: api, body: '{}' })).status).toBe(200)
    expect((await ask('api/v1/control', { headers: api })).text).toContain('paused')
  })

  it('was refused nothing that it asked for, and used all that it may, but for what is rare', async () => {
    const refused = (await administrator.call('ACL', 'LOG')) as string[][]
    expect(refused.filter((entry) => entry.includes('securyflex'))).toEqual([])
    const statistics = await administrator.info('commandstats')
    const used = [...statistics.matchAll(/^cmdstat_([^:]+):/gm)].map(([, name]) => name)
    const allowed = rule('securyflex').flatMap((word) => (word.startsWith('+') ? [word.slice(1)] : []))
    expect(allowed.filter((name) => !used.includes(name)).sort()).toEqual(rare)
  })

  it('reaches no key, channel or command beside its own', async () => {
    const { redis } = installation.config
    if (redis === undefined) throw new Error('no Redis')
    const own = await connectOrFail(redis)
    const refusals = [
      own.get('other'),
      own.set('other', '1'),
      own.xadd('other:trigger', '*', 'source', 'shop'),
      own.publish('other', '1'),
      own.eval(`return redis.call('GET', 'other')`, 0),
      own.flushall(),
      own.config('GET', '*'),
      own.keys('*'),
      own.call('SHUTDOWN'),
      own.call('ACL', 'LIST'),
    ]
    for (const refusal of refusals) await expect(refusal).rejects.toThrow(/NOPERM|can't access/)
    own.disconnect()
  })

  it('that lacks a right is told which one, by each process', async () => {
    await administrator.call('ACL', 'SETUSER', 'securyflex', '-xadd')
    for (const args of [
      ['enqueue-job', 'shop'],
      ['pause', 'shop'],
    ]) {
      expect(await command(...args)).toMatchObject({
        status: 5,
        stderr: expect.stringMatching(
          /does not let the user “securyflex” run XADD|refuses a command of a script to this user/,
        ),
      })
    }
    await administrator.call('ACL', 'SETUSER', 'securyflex', '+xadd', '-set')
    for (const process of ['worker', 'producer', 'start']) {
      expect(await command(process)).toMatchObject({
        status: 5,
        stderr: expect.stringMatching(
          /“securyflex” run SET\.\n.*ACL SETUSER securyflex \+set; .*docs\/redis\.md/,
        ),
      })
    }
    await administrator.call('ACL', 'SETUSER', 'securyflex', '+set')
  })
})
