import { writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Asking, cancelRun, requestRun } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { readReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import type { Job } from 'bullmq'
import pg from 'pg'
import { startCommand } from '../helpers/command.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

const sources = ['alpha', 'beta', 'gamma'] as const

let directory: TemporaryDirectory
let installation: Installation

beforeAll(async () => {
  directory = await temporaryDirectory()
  const file = directory.join('backup.config.yaml')
  installation = await startInstallation(async ({ url, name }) => {
    const described = sources.map((source) => `  ${source}: { server: main, database: ${name} }`)
    await writeFile(
      file,
      ['servers:', '  main:', `    url: ${url}`, '    runs: 1', 'sources:', ...described, ''].join('\n'),
    )
    // One slot for runs: a run that waits must not hold it.
    return { BACKUP_CONFIG: file, WORKER_CONCURRENCY_RUN: '1' }
  })
  await installation.database.query('CREATE TABLE orders AS SELECT n FROM generate_series(1, 100) AS n')
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  await directory.remove()
})

async function request(source: string, asking: Asking = {}) {
  const now = new Date()
  return requestRun(
    installation.queues,
    newRunId(source, now),
    { v: 1, source, requestedBy: 'test', requestedAt: now.toISOString(), options: {} },
    asking,
  )
}

const progressOf = async (run: string) =>
  ((await installation.queues.get('run').getJob(run)) as Job | undefined)?.progress

const reportOf = (source: string, run: string) =>
  readReport(installation.storage, source, run, new KeyRing(installation.config.keys))

describe('a server’s limit of one run', () => {
  it('has the others wait, saying for what, and go on one by one although the worker that held it is killed', async () => {
    await using worker = await installation.startWorker('seal:begun')
    const first = (await request('alpha')).run
    await worker.held
    const others = [(await request('beta')).run, (await request('gamma')).run]
    await until(async () => (await installation.queues.get('run').getDelayedCount()) === 2)
    for (const run of others) expect(await progressOf(run)).toEqual({ waitsFor: 'server main: 1 of 1 runs' })
    await using following = startCommand(['backup', 'beta'], { ...installation.env }, directory.path)
    await following.line(/^ {2}waiting for server main: 1 of 1 runs$/)
    following.kill('SIGINT')
    expect(await following.ended).toBe(130)
    const { logs } = await installation.queues.get('run').getJobLogs(others[0] ?? '')
    expect(logs).toEqual([expect.stringContaining('waits for server main: 1 of 1 runs')])

    await worker.kill('SIGKILL')
    await using second = await installation.startWorker()
    const ended = await Promise.all([first, ...others].map((run) => installation.ended(run)))
    expect(second.process.exitCode).toBeNull()
    expect(ended.map(({ returnvalue }) => (returnvalue as { outcome: string }).outcome)).toEqual([
      'success',
      'success',
      'success',
    ])
    const reports = await Promise.all(
      [first, ...others].map((run, index) => reportOf(sources[index] ?? '', run)),
    )
    for (const [index, report] of reports.entries()) {
      const before = reports[index - 1]?.finishedAt ?? ''
      expect((report?.startedAt ?? '') >= before).toBe(true)
      expect(report?.generation).toBe(0)
    }
    expect(await progressOf(others[0] ?? '')).toEqual({})
    await second.kill('SIGTERM')
  })

  it('lets a run that waits be cancelled', async () => {
    await using worker = await installation.startWorker('seal:begun')
    const first = (await request('alpha')).run
    await worker.held
    const waiting = (await request('beta')).run
    await until(async () => (await installation.queues.get('run').getDelayedCount()) === 1)
    await cancelRun(installation.queues.redis, waiting)
    const job = await installation.ended(waiting)
    expect(await job.getState()).toBe('failed')
    expect(await reportOf('beta', waiting)).toMatchObject({ outcome: 'cancelled' })
    await worker.kill('SIGKILL')
    await using second = await installation.startWorker()
    await installation.ended(first)
    await second.kill('SIGTERM')
  })
})

describe('whoever follows a run', () => {
  it('is told that its dump waits for another, or for a queue that is paused', async () => {
    const { queues, env } = installation
    await using worker = await installation.startWorker()
    await queues.get('dump').pause()
    await using following = startCommand(['backup', 'alpha'], { ...env }, directory.path)
    await following.line(/^ {2}waiting for the queue “dump”, which somebody paused on the dashboard$/)
    await queues.get('dump').resume()
    expect(await following.ended).toBe(0)

    // A session that holds the lock of the first: its dump cannot end, and the worker makes one at a time.
    const client = new pg.Client(installation.database.url)
    await client.connect()
    await client.query('BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE')
    const first = await installation.request()
    await using second = startCommand(['backup', 'gamma'], { ...env }, directory.path)
    await second.line(/^ {2}waiting for other dumps \(WORKER_CONCURRENCY_DUMP\)$/)
    await client.end()
    expect(await second.ended).toBe(0)
    await installation.ended(first)
    await worker.kill('SIGTERM')
  })
})

describe('overlap: again', () => {
  it('makes one more run after the one under way, however many requests came', async () => {
    await using worker = await installation.startWorker('seal:begun')
    const { run } = await request('alpha', { overlap: 'again' })
    await worker.held
    for (let time = 1; time <= 3; time++) {
      expect(await request('alpha', { overlap: 'again' })).toEqual({ run, accepted: false, again: true })
    }
    await worker.kill('SIGKILL')
    const before = await runsOf('alpha')
    await using second = await installation.startWorker()
    await installation.ended(run)
    await until(async () => (await runsOf('alpha')).length === before.length + 1)
    const [more = ''] = (await runsOf('alpha')).filter((one) => !before.includes(one))
    expect((await installation.ended(more)).returnvalue).toMatchObject({ outcome: 'success' })
    expect(await reportOf('alpha', run)).toMatchObject({ overlaps: 3 })
    expect(await runsOf('alpha')).toHaveLength(before.length + 1)
    await second.kill('SIGTERM')
  })
})

async function runsOf(source: string): Promise<string[]> {
  const jobs = (await installation.queues.get('run').getJobs()) as Job[]
  return jobs.flatMap(({ id = '' }) => (id.startsWith(`${source}.`) ? [id] : []))
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come to that within 30 seconds')
    await wait(25)
  }
}
