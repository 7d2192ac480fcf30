import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Job } from 'bullmq'
import { cancelRun } from '@securyflex/shared/queue'
import { listRuns } from '@securyflex/shared/repository'
import { onlyInFull } from '../helpers/in-full.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { type StandInTools, standInTools } from '../helpers/stand-in-tools.ts'

let tools: StandInTools
let installation: Installation

beforeAll(async () => {
  tools = await standInTools()
  installation = await startInstallation({ BACKUP_PG_BIN_DIR: tools.path })
  await installation.database.query(
    `CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 8) AS note FROM generate_series(1, 20000) AS n`,
  )
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  await tools[Symbol.asyncDispose]()
})

describe('requests', () => {
  it('for a source whose run is under way are given that run, and are counted in its report', async () => {
    await using worker = await installation.startWorker('seal:begun')
    const run = await installation.request()
    await worker.held
    expect(await installation.request()).toBe(run)
    expect(await installation.request()).toBe(run)
    await worker.kill('SIGKILL')
    await using second = await installation.startWorker()
    await installation.ended(run)
    expect(second.process.exitCode).toBeNull()
    expect(await installation.report(run)).toMatchObject({ outcome: 'success', overlaps: 2 })
    expect(await installation.request()).not.toBe(run)
    await drained()
  })
})

describe('cancelling', () => {
  it.each(['dump:batch', 'seal:begun', ...onlyInFull('compress:begun', 'upload:begun', 'run:seal')])(
    'a run that stands at %s ends it as cancelled, with nothing left behind',
    async (place) => {
      await using worker = await installation.startWorker(place)
      const before = await listRuns(installation.storage, installation.source)
      const run = await installation.request()
      await worker.held
      await cancelRun(installation.queues.redis, run)
      // The held step never comes back by itself: its worker dies with it, as a machine might.
      await worker.kill('SIGKILL')
      await using second = await installation.startWorker()
      const job = await installation.ended(run)
      expect(second.process.exitCode).toBeNull()
      expect(await job.getState()).toBe('failed')
      expect(await installation.report(run)).toMatchObject({
        outcome: 'cancelled',
        code: 'CANCELLED',
        notifications: [{ channel: 'log', delivered: true }],
      })
      expect(await installation.spoolRuns()).toEqual([])
      expect(await listRuns(installation.storage, installation.source)).toEqual(before)
    },
  )

  it('stops a dump that is waiting for a lock within seconds, and kills its pg_dump', async () => {
    await using worker = await installation.startWorker()
    const { database } = installation
    const sleeper = database
      .query(`SELECT pg_sleep(20), pg_advisory_lock(1)`)
      .catch((error: unknown) => error)
    const locked = database.query(
      `BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(20); COMMIT`,
    )
    locked.catch(() => undefined)
    await until(async () => {
      const { rows } = await database.query(
        `SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted`,
      )
      return rows.length > 0
    })
    const run = await installation.request()
    await until(async () => (await installation.queues.get('dump').getActiveCount()) > 0)
    await cancelRun(installation.queues.redis, run)
    const job = await installation.ended(run)
    expect(await job.getState()).toBe('failed')
    expect(await installation.report(run)).toMatchObject({ outcome: 'cancelled' })
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND pid <> pg_backend_pid()`,
    )
    await Promise.allSettled([sleeper, locked])
    await worker.kill('SIGTERM')
  })
})

describe('cancelling a run whose step waits for its next try', () => {
  it('ends it at once, not at that try', async () => {
    await using patient = await startInstallation({
      BACKUP_PG_BIN_DIR: tools.path,
      WORKER_RETRY_DELAY: '600000',
    })
    await tools.replaceDump('echo "pg_dump: error: connection to server was lost" >&2; exit 1')
    await using worker = await patient.startWorker()
    const run = await patient.request()
    await until(async () => (await patient.queues.get('dump').getDelayedCount()) === 1)
    await cancelRun(patient.queues.redis, run)
    const job = await patient.ended(run)
    await tools.repairDump()
    expect(await job.getState()).toBe('failed')
    expect(await patient.report(run)).toMatchObject({ outcome: 'cancelled' })
    expect(await patient.spoolRuns()).toEqual([])
    await worker.kill('SIGTERM')
  })
})

describe('retrying', () => {
  const broken = 'echo "pg_dump: error: unexpected end of something" >&2; exit 1'

  async function failedRun(): Promise<Job> {
    await tools.replaceDump(broken)
    const failed = await installation.ended(await installation.request())
    expect(await failed.getState()).toBe('failed')
    await tools.repairDump()
    return failed
  }

  it('a failed run makes a new dump under the same id', async () => {
    await using worker = await installation.startWorker()
    const failed = await failedRun()
    const run = failed.id ?? ''
    await failed.retry('failed')
    const again = await installation.ended(run)
    expect(again.failedReason).toBeFalsy()
    expect(again.returnvalue).toMatchObject({ outcome: 'success' })
    expect(await installation.report(run)).toMatchObject({ outcome: 'success', generation: 1 })
    await worker.kill('SIGTERM')
  })

  it('a failed step resumes its run', async () => {
    const { queues } = installation
    await using worker = await installation.startWorker()
    const run = (await failedRun()).id ?? ''
    const failures = (await queues.get('dump').getFailed()) as Job[]
    await failures.find(({ parent }) => parent?.id === run)?.retry('failed')
    await until(async () => (await queues.get('run').getJobState(run)) === 'completed')
    expect(await installation.report(run)).toMatchObject({ outcome: 'success', generation: 1 })
    await worker.kill('SIGTERM')
  })

  it('a failed run does not disturb another run of its source', async () => {
    await using worker = await installation.startWorker()
    const failed = await failedRun()
    await worker.kill('SIGTERM')
    await using held = await installation.startWorker('seal:begun')
    const other = await installation.request()
    await held.held
    await failed.retry('failed')
    const again = await installation.ended(failed.id ?? '')
    expect(again.failedReason).toContain(other)
    await held.kill('SIGKILL')
    await drained()
  })
})

describe('shutting down', () => {
  it.each(['compress:begun', 'dump:begun'])(
    'with SIGTERM gives the job that stands at %s back at no attempt’s cost',
    async (place) => {
      await using worker = await installation.startWorker(place)
      const run = await installation.request()
      await worker.held
      worker.process.kill('SIGTERM')
      await using second = await installation.startWorker()
      await worker.kill('SIGKILL')
      const job = await installation.ended(run)
      expect(job.returnvalue).toMatchObject({ outcome: 'success' })
      expect(second.process.exitCode).toBeNull()
    },
  )
})

async function drained(): Promise<void> {
  await using worker = await installation.startWorker()
  await until(async () => {
    const counts = await installation.queues.get('run').getJobCounts('wait', 'active', 'waiting-children')
    return Object.values(counts).every((count) => count === 0)
  })
  await worker.kill('SIGTERM')
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come to that within 30 seconds')
    await wait(25)
  }
}
