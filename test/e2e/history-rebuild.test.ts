import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { cancelRun, retryRun } from '@securyflex/shared/queue'
import type { Job } from 'bullmq'
import { startCommand, until } from '../helpers/command.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { runCommand } from '../helpers/run-command.ts'
import { type StandInTools, standInTools } from '../helpers/stand-in-tools.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

jest.setTimeout(180_000)

let directory: TemporaryDirectory
let tools: StandInTools
let installation: Installation
/** Of a good run, one that failed, and one that was cancelled. */
let [good, failed, cancelled] = ['', '', '']

beforeAll(async () => {
  ;[directory, tools] = await Promise.all([temporaryDirectory(), standInTools()])
  installation = await startInstallation({
    BACKUP_PG_BIN_DIR: tools.path,
    DASHBOARD_PORT: '0',
    BACKUP_API_TOKEN: token,
  })
  await installation.database.query('CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) AS n')
  await using _worker = await installation.startWorker()
  good = await made()
  await tools.replaceDump('exit 1')
  failed = await made()
  await tools.repairDump()
  cancelled = await request()
  await cancelRun(installation.queues.redis, cancelled)
  await installation.ended(cancelled)
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  await tools[Symbol.asyncDispose]()
  await directory.remove()
})

const token = 'a-token-of-at-least-24-characters'

/** The ids of two runs in the same second do not tell which came first. */
let second = Date.now() - 60_000
const request = () => installation.request(new Date((second += 1000)))

async function made(): Promise<string> {
  const run = await request()
  await installation.ended(run)
  return run
}

async function json(...args: string[]): Promise<unknown> {
  const env = installation.env
  const { status, stdout, stderr } = await runCommand([...args, '--json'], {
    directory: directory.path,
    env,
    timeout: 60_000,
  })
  expect({ status, stderr }).toMatchObject({ status: 0 })
  return JSON.parse(stdout)
}

/** What people and programs are told of the past, by every way that tells it. */
async function told() {
  const { sources, underWay } = (await json('status')) as { sources: unknown; underWay: unknown }
  const health = (await json('health')) as { sources: { lastSuccess: object }[] }
  // It is older by the time that passed between.
  const figures = health.sources.map((one) => ({ ...one, lastSuccess: { ...one.lastSuccess, age: 0 } }))
  return { sources, underWay, figures, ...(await toldByDashboard()) }
}

async function toldByDashboard() {
  await using dashboard = startCommand(['dashboard'], { ...installation.env }, directory.path)
  const [, url = ''] = await dashboard.line(/The dashboard is at (\S+)/)
  await until('the queues', async () => (await fetch(`${url}board/api/queues`)).ok)
  const page = await (await fetch(url)).text()
  const headers = { authorization: `Bearer ${token}` }
  const board = async (state: string) => {
    const answer = await fetch(`${url}board/api/queues?activeQueue=run&status=${state}`)
    const { queues } = (await answer.json()) as { queues: { name: string; jobs: Shown[] }[] }
    const { jobs = [] } = queues.find(({ name }) => name === 'run') ?? {}
    return jobs.map(({ id, name, failedReason, returnValue, processedOn, finishedOn }) => ({
      ...{ id, name, failedReason, returnValue },
      ends: [typeof processedOn, typeof finishedOn],
    }))
  }
  return {
    runs: page.slice(page.indexOf('<h2>Last runs'), page.indexOf('</table>', page.indexOf('<h2>Last runs'))),
    api: await (await fetch(`${url}api/v1/runs`, { headers })).json(),
    one: await (await fetch(`${url}api/v1/runs/${failed}`, { headers })).json(),
    completed: await board('completed'),
    failed: await board('failed'),
  }
}

interface Shown {
  id: string
  name: string
  failedReason?: string
  returnValue?: unknown
  processedOn: unknown
  finishedOn: unknown
}

/** What the queue keeps of a run, as far as it says how the run ended. */
async function kept(run: string) {
  const queue = installation.queues.get('run')
  const job = (await queue.getJob(run)) as Job<unknown, unknown> | undefined
  const { name, opts, failedReason, returnvalue, attemptsMade, deduplicationId } = job ?? {}
  const ended = {
    state: await queue.getJobState(run),
    attemptsMade,
    failedReason,
    returnvalue,
  }
  return { name, opts, deduplicationId, ...ended }
}

describe('after Redis lost its data', () => {
  it('history rebuild makes status, health, dashboard and API tell what they told before, and may be repeated', async () => {
    const before = await told()
    expect(before).toMatchObject({
      completed: [{ id: good }],
      failed: expect.arrayContaining([
        expect.objectContaining({ id: failed }),
        expect.objectContaining({ id: cancelled }),
      ]),
      sources: [{ last: { run: cancelled, outcome: 'cancelled' } }],
    })
    const jobs = await Promise.all([good, failed, cancelled].map(kept))
    await installation.queues.redis.flushall()
    expect(await toldByDashboard()).toMatchObject({ runs: before.runs, completed: [], failed: [] })

    const counts = { source: 'shop', older: 0, unfinished: 0, unreadable: [] }
    expect(await json('history', 'rebuild')).toEqual({ sources: [{ ...counts, restored: 3, present: 0 }] })
    const after = await told()
    expect({ ...after, failed: new Set(after.failed) }).toEqual({ ...before, failed: new Set(before.failed) })
    expect(await Promise.all([good, failed, cancelled].map(kept))).toEqual(jobs)

    expect(await json('history', 'rebuild')).toEqual({ sources: [{ ...counts, restored: 0, present: 3 }] })
    expect(await told()).toEqual(after)
  })

  it('it makes no backup, also while a worker serves, and leaves a run that is under way alone', async () => {
    await using worker = await installation.startWorker('dump:begun')
    await installation.queues.redis.flushall()
    const underWay = await request()
    await worker.held
    const { sources } = (await json('history', 'rebuild')) as { sources: object[] }
    expect(sources).toMatchObject([{ restored: 3, present: 0, unfinished: 1 }])
    const { queues } = installation
    const states = await queues.get('run').getJobCounts('waiting', 'active', 'waiting-children', 'delayed')
    expect(states).toMatchObject({ waiting: 0, delayed: 0 })
    expect(await queues.get('run').getJobState(underWay)).toBe('waiting-children')
    expect(await queues.get('dump').getJobCountByTypes('waiting', 'active', 'delayed', 'completed')).toBe(1)
    await worker.kill('SIGKILL')
    await using _next = await installation.startWorker()
    await installation.ended(underWay)
    expect(await installation.report(underWay)).toMatchObject({ outcome: 'success' })
  })

  it('a failed run that it put back is retried like any other, and is not put back over that', async () => {
    await installation.queues.redis.flushall()
    await json('history', 'rebuild')
    await retryRun(installation.queues, failed, 'test')
    await json('history', 'rebuild')
    expect(await installation.queues.get('run').getJobState(failed)).toBe('waiting')
    await using _worker = await installation.startWorker()
    await until('the end', async () => (await installation.report(failed))?.outcome === 'success')
    expect(await installation.report(failed)).toMatchObject({ generation: 1 })
  })
})
