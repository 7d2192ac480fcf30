import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { Redis } from 'ioredis'
import { startCommand, until } from '../helpers/command.ts'
import { freePort } from '../helpers/free-port.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Ran, runCommand } from '../helpers/run-command.ts'
import { type StandInTools, standInTools } from '../helpers/stand-in-tools.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

jest.setTimeout(180_000)

let tools: StandInTools
let directory: TemporaryDirectory
let installation: Installation
let administrator: Redis

beforeAll(async () => {
  ;[tools, directory] = await Promise.all([standInTools(), temporaryDirectory()])
  installation = await startInstallation({ BACKUP_PG_BIN_DIR: tools.path, DASHBOARD_PORT: '0' })
  administrator = new Redis(installation.redis.url)
  await installation.database.query(
    `CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 8) AS note FROM generate_series(1, 20000) AS n`,
  )
})

afterEach(async () => {
  await tools.repairDump()
  await administrator.config('SET', 'maxmemory', '0')
  await administrator.config('SET', 'maxmemory-policy', 'noeviction')
})

afterAll(async () => {
  administrator.disconnect()
  await installation[Symbol.asyncDispose]()
  await tools[Symbol.asyncDispose]()
  await directory.remove()
})

const command = (...args: string[]): Promise<Ran> =>
  runCommand(args, { directory: directory.path, env: installation.env, timeout: 60_000 })

const fill = () => administrator.config('SET', 'maxmemory', '1')
const makeRoom = () => administrator.config('SET', 'maxmemory', '0')

async function startDashboard() {
  const dashboard = startCommand(['dashboard'], { ...installation.env }, directory.path)
  const [, url = ''] = await dashboard.line(/The dashboard is at (\S+)/)
  await until('the queues', async () => (await fetch(`${url}board/api/queues`)).ok)
  const press = (button: string, subject: string) =>
    fetch(`${url}control/${button}`, {
      method: 'POST',
      body: new URLSearchParams({ source: subject }),
      redirect: 'manual',
    })
  return { url, press, [Symbol.asyncDispose]: () => dashboard[Symbol.asyncDispose]() }
}

describe('a full Redis', () => {
  it('refuses every request with the reason, and lets everything be looked at', async () => {
    const waiting = await installation.request()
    await using dashboard = await startDashboard()
    await fill()
    const asked = [['backup'], ['enqueue-job', 'shop'], ['pause', 'shop'], ['cancel', waiting]]
    for (const args of asked) {
      const { status, stderr } = await command(...args)
      expect({ args, status, stderr }).toMatchObject({
        status: 5,
        stderr: expect.stringMatching(
          /^Redis at \S+ is full: it has reached its maxmemory\.\n.*maxmemory 1gb/m,
        ),
      })
    }
    for (const args of [['status'], ['list'], ['health']]) {
      expect({ args, ...(await command(...args)) }).toMatchObject({ status: 0 })
    }
    expect((await fetch(dashboard.url)).status).toBe(200)
    const pressed = await dashboard.press('pause', 'shop')
    expect([pressed.status, await pressed.text()]).toEqual([503, expect.stringContaining('is full')])
    await expect(administrator.xadd('securyflex:trigger', '*', 'source', 'shop')).rejects.toThrow(/OOM/)
    await makeRoom()
    expect((await dashboard.press('pause', 'shop')).status).toBe(303)
    expect((await dashboard.press('resume', 'shop')).status).toBe(303)
    expect((await command('cancel', waiting)).status).toBe(0)
    await using _worker = await installation.startWorker()
    await installation.ended(waiting)
    expect(await installation.report(waiting)).toMatchObject({ outcome: 'cancelled' })
  })

  it('has processes that start wait, and what waits go on by itself once there is room', async () => {
    const run = await installation.request()
    await fill()
    await using worker = startCommand(['worker'], { ...installation.env }, directory.path)
    await using producer = startCommand(['producer'], { ...installation.env }, directory.path)
    for (const process of [worker, producer]) await process.line(/is full.* Waiting for it\.$/)
    await makeRoom()
    await worker.line(/Serving all steps/)
    await installation.ended(run)
    expect(await installation.report(run)).toMatchObject({ outcome: 'success' })
  })

  it('in the middle of a dump has the run go on and succeed once there is room', async () => {
    await using worker = await installation.startWorker()
    await using producer = await installation.startProducer()
    const [halfWay, goOn] = [directory.join('half-way'), directory.join('go-on')]
    const wait = `while [ ! -e ${goOn} ] && kill -0 $$ 2>/dev/null; do sleep 0.05; done`
    await tools.replaceDump(`"$real" "$@" | (head -c 300000; touch ${halfWay}; ${wait}; cat)`)
    const run = await installation.request()
    await until('the middle of the dump', () => existsSync(halfWay))
    const waiting = await installation.request()
    expect(waiting).toBe(run)
    await fill()
    await tools.repairDump()
    await writeFile(goOn, '')
    await until('the worker saying so', async () => (await said('worker')).includes('is full'))
    await makeRoom()
    await installation.ended(run)
    expect(await installation.report(run)).toMatchObject({ outcome: 'success' })
    expect([worker.process.exitCode, producer.process.exitCode]).toEqual([null, null])
  })
})

/** What processes of a name have logged so far. */
async function said(name: string): Promise<string> {
  const logs = installation.config.logs.directory
  const files = (await readdir(logs)).filter((file) => file.startsWith(`${name}.`))
  return (await Promise.all(files.map((file) => readFile(join(logs, file), 'utf8')))).join('')
}

describe('a Redis that may drop keys', () => {
  it('is refused by all that would rely on it, noticed by those that run, and shown', async () => {
    await using _producer = await installation.startProducer()
    await using dashboard = await startDashboard()
    await administrator.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await administrator.config('SET', 'maxmemory', '1gb')
    for (const args of [['worker'], ['producer'], ['start'], ['backup'], ['enqueue-job', 'shop']]) {
      expect({ args, ...(await command(...args)) }).toMatchObject({
        status: 5,
        stderr: expect.stringMatching(
          /may drop jobs when it is full: its maxmemory-policy is allkeys-lru\.\n.*CONFIG SET maxmemory-policy noeviction/,
        ),
      })
    }
    for (const args of [['status'], ['pause', 'shop'], ['resume', 'shop']]) {
      expect({ args, ...(await command(...args)) }).toMatchObject({ status: 0 })
    }
    expect(await (await fetch(dashboard.url)).text()).toContain('its maxmemory-policy is allkeys-lru')
    await until('the producer saying so', async () => (await said('producer')).includes('allkeys-lru'))
  })
})

describe('a Redis that takes no writes, or none now', () => {
  it('as a replica is called so by each request, and is read', async () => {
    await administrator.call('REPLICAOF', '127.0.0.1', String(await freePort()))
    for (const args of [['backup'], ['enqueue-job', 'shop'], ['pause', 'shop']]) {
      expect({ args, ...(await command(...args)) }).toMatchObject({
        status: 5,
        stderr: expect.stringMatching(/is a read-only replica\.\n.*INFO replication/),
      })
    }
    expect((await command('status')).status).toBe(0)
    await using worker = startCommand(['worker'], { ...installation.env }, directory.path)
    await worker.line(/is a read-only replica.* Waiting for it\.$/)
    await administrator.call('REPLICAOF', 'NO', 'ONE')
    await worker.line(/Serving all steps/)
  })

  it('that cannot save its data is called so by each request, and takes them again once it can', async () => {
    await using own = await startRedis({ appendonly: 'no' })
    const asking = new Redis(own.url)
    // Where its file is to be is a directory: it writes all of it, and cannot give it its name.
    const taken = join(dirname(own.socket), 'dump.rdb')
    await mkdir(join(taken, 'something'), { recursive: true })
    await asking.config('SET', 'save', '3600 1')
    await asking.config('SET', 'stop-writes-on-bgsave-error', 'yes')
    await asking.bgsave()
    const saved = async () => /rdb_last_bgsave_status:(\w+)/.exec(await asking.info('persistence'))?.[1]
    await until('a save that failed', async () => (await saved()) === 'err')
    const env = { ...installation.env, REDIS_URL: own.url }
    const run = (...args: string[]) => runCommand(args, { directory: directory.path, env, timeout: 60_000 })
    for (const args of [['backup'], ['enqueue-job', 'shop'], ['pause', 'shop']]) {
      expect({ args, ...(await run(...args)) }).toMatchObject({
        status: 5,
        stderr: expect.stringMatching(
          /takes no writes, because it cannot save its data\.\n.*Make room on its disk, or mend what its log says/,
        ),
      })
    }
    const { stdout, stderr } = await run('status')
    expect(stdout + stderr).toContain('takes no writes, because it cannot save its data')
    await rm(taken, { recursive: true })
    await asking.bgsave()
    await until('a save that succeeded', async () => (await saved()) === 'ok')
    expect((await run('enqueue-job', 'shop')).status).toBe(0)
    asking.disconnect()
  })

  it('with all its connections taken, or while it reads its data back, is called so', async () => {
    await using own = await startRedis({ appendonly: 'no' })
    const filler = new Redis(own.url)
    const filled = filler.pipeline()
    for (let number = 0; number < 8000; number++) filled.set(`securyflex:${String(number)}`, 'x')
    await filled.exec()
    await filler.save()
    await filler.config('SET', 'maxclients', '1')
    const env = { ...installation.env, REDIS_URL: own.url }
    const enqueue = () =>
      runCommand(['enqueue-job', 'shop'], { directory: directory.path, env, timeout: 60_000 })
    expect(await enqueue()).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('as many connections'),
    })
    filler.disconnect()
    const back = own.restart({ 'key-load-delay': '2000', 'loading-process-events-interval-bytes': '1024' })
    // It listens in a moment.
    await until('loading', async () => (await enqueue()).stderr.includes('is reading its data back'))
    await back
  })
})
