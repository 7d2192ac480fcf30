import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { connectOrFail, Queues, readSchedules, requestRun } from '@securyflex/shared/queue'
import { listRuns, newRunId } from '@securyflex/shared/repository'
import { chances } from '../helpers/chances.ts'
import { until } from '../helpers/command.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { sessionsOf, toolsOf } from '../helpers/leftovers.ts'
import { type StandInTools, standInTools } from '../helpers/stand-in-tools.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

const minute = 60_000
/** Between two random moments, in ms: a run takes about as long. */
const longestWait = 2000
/** SECURYFLEX_TEST_SEED repeats a choice. */
const seed = Number(process.env['SECURYFLEX_TEST_SEED'] ?? randomInt(1_000_000))

let tools: StandInTools
let installation: Installation
let directory: TemporaryDirectory
/** Files by which the pg_dump of the test says that it is in the middle, and is told to go on. */
let [halfWay, goOn] = ['', '']

beforeAll(async () => {
  directory = await temporaryDirectory()
  ;[halfWay, goOn] = [directory.join('half-way'), directory.join('go-on')]
  tools = await standInTools()
  installation = await startInstallation({ BACKUP_PG_BIN_DIR: tools.path })
  await installation.database.query(
    `CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 8) AS note FROM generate_series(1, 20000) AS n`,
  )
})

afterEach(async () => {
  await tools.repairDump()
  await rm(halfWay, { force: true })
  await rm(goOn, { force: true })
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  await tools[Symbol.asyncDispose]()
  await directory.remove()
})

/** A pg_dump that stops half-way until it is told to go on, or its shell is killed. */
async function pauseDumps(): Promise<void> {
  const wait = `while [ ! -e ${goOn} ] && kill -0 $$ 2>/dev/null; do sleep 0.05; done`
  await tools.replaceDump(`"$real" "$@" | (head -c 300000; touch ${halfWay}; ${wait}; cat)`)
}

/** The installation's own connection does not outlive its Redis. */
async function withQueues<Result>(work: (queues: Queues) => Promise<Result>): Promise<Result> {
  const { redis } = installation.config
  if (redis === undefined) throw new Error('no Redis')
  const connection = await connectOrFail(redis)
  const queues = new Queues(connection, 100)
  try {
    return await work(queues)
  } finally {
    await queues.close()
    connection.disconnect()
  }
}

async function request(): Promise<string> {
  const { source } = installation
  const at = new Date()
  const wanted = { v: 1 as const, source, requestedBy: 'test', requestedAt: at.toISOString(), options: {} }
  const { run } = await withQueues((queues) => requestRun(queues, newRunId(source, at), wanted))
  return run
}

/** What became of a run; waits until its job is over, too, where Redis still knows it. */
async function outcomeOf(run: string): Promise<unknown> {
  let outcome: unknown
  await until(
    `the end of ${run}`,
    async () => {
      outcome = (await installation.report(run))?.outcome
      if (outcome === undefined || outcome === 'running') return false
      return withQueues(async (queues) =>
        ['completed', 'failed', 'unknown'].includes(await queues.get('run').getJobState(run)),
      )
    },
    minute,
  )
  return outcome
}

describe('Redis restarting with its data', () => {
  it(
    'in the middle of a dump leaves a run that completes on the worker that has it',
    async () => {
      await using worker = await installation.startWorker()
      await using producer = await installation.startProducer()
      await pauseDumps()
      const run = await request()
      await until('the middle of the dump', () => existsSync(halfWay))
      await installation.redis.restart()
      await writeFile(goOn, '')
      expect(await outcomeOf(run)).toBe('success')
      expect(await listRuns(installation.storage, installation.source)).toContain(run)
      expect([worker.process.exitCode, producer.process.exitCode]).toEqual([null, null])
    },
    2 * minute,
  )

  it.each(['run:dump', 'compress:begun', 'upload:begun', 'seal:begun', 'verify:begun', 'notify:begun'])(
    'while a step stands at %s, and that worker dying, leaves a run that completes on another',
    async (place) => {
      await using held = await installation.startWorker(place)
      const run = await request()
      await held.held
      await installation.redis.restart()
      await held.kill('SIGKILL')
      await using worker = await installation.startWorker()
      expect(await outcomeOf(run)).toBe('success')
      expect(worker.process.exitCode).toBeNull()
    },
    2 * minute,
  )

  it(
    'while nobody works keeps the requests',
    async () => {
      const run = await request()
      await installation.redis.restart()
      await using worker = await installation.startWorker()
      expect(await outcomeOf(run)).toBe('success')
      expect(worker.process.exitCode).toBeNull()
    },
    2 * minute,
  )
})

describe('Redis losing its data', () => {
  it(
    'in the middle of a run ends it as failed, and the next one and the schedules work',
    async () => {
      await using worker = await installation.startWorker()
      await using producer = await installation.startProducer()
      await pauseDumps()
      const run = await request()
      await until('the middle of the dump', () => existsSync(halfWay))
      const sealed = await listRuns(installation.storage, installation.source)
      await withQueues((queues) => queues.redis.flushall())
      expect(await outcomeOf(run)).toBe('failed')
      expect(await installation.report(run)).toMatchObject({
        code: 'RUN_FAILED',
        reason: expect.stringContaining('Redis lost'),
      })
      await tools.repairDump()
      const next = await request()
      expect(await outcomeOf(next)).toBe('success')
      expect(await listRuns(installation.storage, installation.source)).toEqual([next, ...sealed])
      await until('the schedule', () =>
        withQueues(async (queues) => (await readSchedules(queues)).length === 1),
      )
      expect([worker.process.exitCode, producer.process.exitCode]).toEqual([null, null])
    },
    2 * minute,
  )

  it.each([
    'dump:begun',
    'compress:begun',
    'encrypt:begun',
    'upload:begun',
    'seal:begun',
    'verify:begun',
    'prune:begun',
    'notify:begun',
    'run:finish',
  ])(
    'while a step stands at %s ends its run as failed, and the next one works',
    async (place) => {
      await using held = await installation.startWorker(place)
      await using producer = await installation.startProducer()
      const run = await request()
      await held.held
      await withQueues((queues) => queues.redis.flushall())
      expect(await outcomeOf(run)).toBe('failed')
      // It would hold the next run's step, too.
      await held.kill('SIGKILL')
      await using worker = await installation.startWorker()
      const next = await request()
      expect(await outcomeOf(next)).toBe('success')
      expect([worker.process.exitCode, producer.process.exitCode]).toEqual([null, null])
      expect(await installation.report(run)).toMatchObject({ outcome: 'failed' })
      expect(await installation.spoolRuns()).toEqual([])
      await until('no tool and no session is left', async () => {
        const left = [await sessionsOf(installation), toolsOf(installation)].flat()
        return left.length === 0
      })
    },
    2 * minute,
  )
})

describe(`Redis at random moments (seed ${String(seed)})`, () => {
  const random = Array.from({ length: 5 }, (_, number) => number)

  it.each(random)(
    'being killed and restarted twice in a run lets it end as success, number %d',
    async (number) => {
      const chance = chances(`restart ${String(seed)}.${String(number)}`)
      await using worker = await installation.startWorker()
      await using producer = await installation.startProducer()
      const run = await request()
      for (let restarts = 0; restarts < 2; restarts++) {
        await delay(chance() * longestWait)
        await installation.redis.restart()
      }
      expect(await outcomeOf(run)).toBe('success')
      expect(await listRuns(installation.storage, installation.source)).toContain(run)
      expect([worker.process.exitCode, producer.process.exitCode]).toEqual([null, null])
    },
    2 * minute,
  )

  it.each(random)(
    'losing its data lets the next run work, number %d',
    async (number) => {
      const chance = chances(`flush ${String(seed)}.${String(number)}`)
      await using worker = await installation.startWorker()
      await using producer = await installation.startProducer()
      const run = await request()
      await delay(chance() * longestWait)
      await withQueues((queues) => queues.redis.flushall())
      // Before its report is begun nobody but Redis knows of a run.
      const begun = (await installation.report(run)) !== undefined
      if (begun) expect(['success', 'failed']).toContain(await outcomeOf(run))
      const next = await request()
      expect(await outcomeOf(next)).toBe('success')
      await until('nothing is left', async () => {
        const left = [await sessionsOf(installation), toolsOf(installation)].flat()
        return left.length === 0
      })
      expect([worker.process.exitCode, producer.process.exitCode]).toEqual([null, null])
    },
    2 * minute,
  )
})
