import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type Config, loadConfig } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { findReports, type RunReport, writeReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import type { Logger } from '@securyflex/shared/logging'
import {
  addChild,
  begunRuns,
  jobIds,
  prefix,
  Queues,
  readSchedules,
  requestRun,
  schedulerId,
  type WantedSchedule,
} from '@securyflex/shared/queue'
import { newRunId, timeOfRun } from '@securyflex/shared/repository'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import { type Job, WaitingChildrenError, Worker } from 'bullmq'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../test/helpers/redis.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../test/helpers/temporary-directory.ts'
import { startProducer } from './index.ts'
import { reconcile, type ReconcilerContext } from './reconciler.ts'
import { applySchedules, planSchedules, ScheduleKeeper } from './schedules.ts'

let server: TestRedis
let redis: Redis
let queues: Queues
let directory: TemporaryDirectory
let lines: string[]
const workers: Worker[] = []

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url, { maxRetriesPerRequest: null })
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})
beforeEach(async () => {
  await redis.flushall()
  directory = await temporaryDirectory()
  queues = new Queues(redis, 10)
  lines = []
})
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close(true)))
  await queues.close()
  await directory.remove()
})

const configure = (env: Record<string, string> = {}): Config =>
  loadConfig({
    env: {
      DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/shop',
      REDIS_URL: server.url,
      BACKUP_DIR: directory.path,
      BACKUP_CRON: '0 2 * * *',
      ...env,
    },
    directory: directory.path,
    needs: [],
  })

/** Keeps what was said. */
const logger: Logger = {
  error: (text) => void lines.push(`error ${text}`),
  warn: (text) => void lines.push(`warn ${text}`),
  info: (text) => void lines.push(`info ${text}`),
  debug: () => undefined,
  child: () => logger,
  close: () => Promise.resolve(),
}

/** What a run says of itself when it begins. */
const beganAs = (run: string): RunReport => ({
  format: 1,
  kind: 'run',
  run,
  source: 'shop',
  outcome: 'running',
  requestedBy: 'test',
  requestedAt: timeOfRun(run).toISOString(),
  startedAt: timeOfRun(run).toISOString(),
  destinations: [{ name: 'local', outcome: 'pending' }],
  notifications: [],
  warnings: [],
  overlaps: 0,
  generation: 0,
})

describe('a plan for schedules', () => {
  const now = new Date('2026-11-23T12:00:00Z')
  const source = fc.constantFrom('shop', 'crm', 'wiki', 'mail', 'a', 'b')
  const schedule = fc.record({
    source,
    cron: fc.constantFrom('0 2 * * *', '30 3 * * 1'),
    timeZone: fc.constantFrom('UTC', 'Europe/Amsterdam'),
  })
  const wanted = fc.uniqueArray(schedule, { selector: schedulerId })
  const kept = fc.uniqueArray(
    fc
      .tuple(schedule, fc.option(fc.integer({ min: -100, max: 100 }), { nil: undefined }))
      .map(([one, minutes]) => ({
        ...one,
        id: schedulerId(one),
        next: minutes === undefined ? undefined : new Date(now.getTime() + minutes * 60_000),
      })),
    { selector: (one) => one.id },
  )
  const strip = ({ source: of, cron, timeZone }: { source: string; cron: string; timeZone: string }) => ({
    source: of,
    cron,
    timeZone,
  })
  const bySource = (list: readonly WantedSchedule[]) =>
    [...list].sort((a, b) => schedulerId(a).localeCompare(schedulerId(b)))

  it('turns what is kept into what is wanted, touching nothing that is right already', () => {
    fc.assert(
      fc.property(wanted, kept, (want, have) => {
        const { add, remove } = planSchedules(want, have, now)
        const after = have.filter((one) => !remove.includes(one)).map(strip)
        expect(bySource([...after, ...add])).toEqual(bySource(want))
        for (const one of add) expect(have.map(strip)).not.toContainEqual(one)
        for (const gone of remove) expect(want).not.toContainEqual(strip(gone))
      }),
    )
  })

  it('names each overdue slot of a wanted source once, and no other', () => {
    fc.assert(
      fc.property(wanted, kept, (want, have) => {
        const { overdue } = planSchedules(want, have, now)
        const expected = have
          .filter(
            ({ source: of, next }) =>
              next !== undefined && next <= now && want.some((one) => one.source === of),
          )
          .map((one) => ({ schedule: strip(one), slot: one.next }))
        expect(overdue).toEqual(expected)
      }),
    )
  })

  it('is empty once it was carried out', () => {
    fc.assert(
      fc.property(wanted, (want) => {
        const have = want.map((one) => ({ ...one, id: schedulerId(one), next: new Date(now.getTime() + 1) }))
        expect(planSchedules(want, have, now)).toEqual({ overdue: [], add: [], remove: [] })
      }),
    )
  })
})

describe('schedules in Redis', () => {
  const apply = async (config: Config, now = new Date()) => {
    const storages = await Promise.all(config.destinations.map((one) => openStorage(one)))
    await applySchedules(config, queues, logger, now, storages)
  }
  const fired = async () => (await queues.get('schedule').getDelayed()).map(({ id, delay }) => [id, delay])

  it('stay as they are when the producer starts again', async () => {
    await apply(configure())
    const [before, firing] = [await readSchedules(queues), await fired()]
    expect(before).toMatchObject([{ source: 'shop', cron: '0 2 * * *', timeZone: 'Europe/Amsterdam' }])
    await apply(configure())
    expect(await readSchedules(queues)).toEqual(before)
    expect(await fired()).toEqual(firing)
  })

  it('follow the configuration: changed, renamed, switched off', async () => {
    await apply(configure())
    await apply(configure({ BACKUP_CRON: '30 3 * * *', BACKUP_TIMEZONE: 'UTC' }))
    expect(await readSchedules(queues)).toMatchObject([
      { source: 'shop', cron: '30 3 * * *', timeZone: 'UTC' },
    ])
    await apply(configure({ BACKUP_SOURCE: 'crm' }))
    expect((await readSchedules(queues)).map(({ source }) => source)).toEqual(['crm'])
    expect(await fired()).toHaveLength(1)
    await apply(configure({ BACKUP_SOURCE: 'crm', BACKUP_SCHEDULE_ENABLED: 'false' }))
    expect(await readSchedules(queues)).toEqual([])
    expect(await fired()).toEqual([])
    expect(await queues.get('run').count()).toBe(0)
  })

  it('are kept for scrubs, too, which follow the configuration beside those of backups', async () => {
    await apply(configure())
    const scrubs = await readSchedules(queues, 'scrub')
    expect(scrubs).toMatchObject([{ source: 'shop', cron: '0 4 * * *', timeZone: 'Europe/Amsterdam' }])
    const [job] = await queues.get('scrub').getDelayed()
    expect(job?.data).toEqual({ v: 1, source: 'shop' })
    await apply(configure())
    expect(await readSchedules(queues, 'scrub')).toEqual(scrubs)
    await apply(configure({ BACKUP_SCRUB_CRON: '@weekly', BACKUP_TIMEZONE: 'UTC' }))
    expect(await readSchedules(queues, 'scrub')).toMatchObject([{ cron: '@weekly', timeZone: 'UTC' }])
    for (const off of [{ BACKUP_SCRUB_CRON: 'off' }, { BACKUP_SCHEDULE_ENABLED: 'false' }]) {
      await apply(configure())
      await apply(configure(off))
      expect(await readSchedules(queues, 'scrub')).toEqual([])
      expect(await queues.get('scrub').count()).toBe(0)
    }
    const keeper = new ScheduleKeeper()
    await apply(configure())
    await keeper.look(configure(), queues, logger, new Date())
    await redis.flushall()
    await keeper.look(configure(), queues, logger, new Date())
    expect(await readSchedules(queues, 'scrub')).toEqual(scrubs)
  })

  it('are not removed for want of any database without an error that says so', async () => {
    await apply(configure())
    lines = []
    await apply({ ...configure(), sources: [] })
    expect(await readSchedules(queues)).toEqual([])
    expect(lines).toContainEqual(expect.stringMatching(/^error No database is configured.*BACKUP_CONFIG/))
  })

  it('fire into a job that a worker understands', async () => {
    await apply(configure())
    const [job] = await queues.get('schedule').getDelayed()
    expect(job?.data).toEqual({ v: 1, source: 'shop' })
    expect(job?.id).toMatch(/^repeat:shop\.[0-9a-f]{8}:\d+$/)
  })

  it('have an overdue slot asked for once, also when two producers start together, before a change deletes it', async () => {
    await apply(configure())
    const slot = (await readSchedules(queues))[0]?.next ?? new Date(0)
    const later = new Date(slot.getTime() + 3 * 60 * 60 * 1000)
    await Promise.all([apply(configure(), later), apply(configure({ BACKUP_CRON: '0 4 * * *' }), later)])
    await apply(configure(), later)
    const runs = await queues.get('run').getWaiting()
    expect(runs.map(({ data }) => (data as { slot: string }).slot)).toEqual([slot.toISOString()])
    expect(runs[0]?.data).toMatchObject({
      source: 'shop',
      requestedBy: 'schedule, late',
      requestedAt: later.toISOString(),
    })
  })

  it('are set again when Redis lost them, and slots that passed meanwhile are asked for, once', async () => {
    const keeper = new ScheduleKeeper()
    const look = (now: Date) => keeper.look(configure(), queues, logger, now)
    await apply(configure())
    const before = await readSchedules(queues)
    const slot = before[0]?.next ?? new Date(0)
    await look(new Date())
    await redis.flushall()
    await look(new Date(slot.getTime() - 1))
    expect(await readSchedules(queues)).toEqual(before)
    expect(await queues.get('run').count()).toBe(0)

    await redis.flushall()
    const late = new Date(slot.getTime() + 10 * 60_000)
    await look(late)
    await look(late)
    expect((await readSchedules(queues)).map(({ source }) => source)).toEqual(['shop'])
    const runs = await queues.get('run').getWaiting()
    expect(runs.map(({ data }) => data as object)).toMatchObject([
      { source: 'shop', requestedBy: 'schedule, late', slot: slot.toISOString() },
    ])
  })

  it('are made up for by a producer that is new, like the Redis that lost them, once, and only if there were runs', async () => {
    const late = new Date('2026-11-23T12:00:00Z')
    const due = '2026-11-23T01:00:00.000Z'
    await apply(configure(), late)
    expect(await queues.get('run').count()).toBe(0)

    await redis.flushall()
    const storages = await Promise.all(configure().destinations.map((one) => openStorage(one)))
    const began = (run: string) => writeReport(storages, beganAs(run), new KeyRing(configure().keys))
    await began('shop.20261122T010003Z.0001')
    await Promise.all([apply(configure(), late), apply(configure(), late)])
    const runs = await queues.get('run').getWaiting()
    expect(runs.map(({ data }) => data as object)).toMatchObject([
      { source: 'shop', requestedBy: 'schedule, late', slot: due },
    ])

    // A run after the slot leaves nothing to make up for.
    await redis.flushall()
    await began('shop.20261123T013000Z.0002')
    await apply(configure(), late)
    expect(await queues.get('run').count()).toBe(0)
  })

  it('are left as a producer with a newer configuration has set them, and this one says so once', async () => {
    const keeper = new ScheduleKeeper()
    const look = (config: Config) => keeper.look(config, queues, logger, new Date())
    await apply(configure())
    await look(configure())
    const changed = configure({ BACKUP_CRON: '30 3 * * *' })
    await apply(changed)
    lines = []
    await look(configure())
    await look(configure())
    expect((await readSchedules(queues)).map(({ cron }) => cron)).toEqual(['30 3 * * *'])
    expect(lines).toEqual([expect.stringMatching(/^warn Another producer has set other schedules.*SIGHUP/)])
    await look(changed)
    expect(lines).toHaveLength(1)
  })

  it('are set again, and those of the other removed, once a producer with other ones has gone', async () => {
    const keeper = new ScheduleKeeper()
    await apply(configure())
    const before = await readSchedules(queues)
    await apply(configure({ BACKUP_SOURCE: 'elsewhere' }))
    expect(await redis.ttl('securyflex:schedules')).toBeGreaterThan(60)
    await keeper.look(configure(), queues, logger, new Date())
    expect((await readSchedules(queues)).map(({ source }) => source)).toEqual(['elsewhere'])

    // As Redis does after three minutes.
    await redis.del('securyflex:schedules')
    await keeper.look(configure(), queues, logger, new Date())
    expect(await readSchedules(queues)).toEqual(before)
  })

  it('stay away from a Redis that lost them when they are switched off', async () => {
    const off = configure({ BACKUP_SCHEDULE_ENABLED: 'false' })
    await apply(off)
    await redis.flushall()
    await new ScheduleKeeper().look(off, queues, logger, new Date())
    expect(await readSchedules(queues)).toEqual([])
  })

  it('ask for nothing that is not due', async () => {
    await apply(configure())
    await apply(configure())
    expect(await queues.get('run').count()).toBe(0)
  })
})

const source = 'shop'
const request = {
  v: 1 as const,
  source,
  requestedBy: 'test',
  requestedAt: '2026-11-23T02:00:00.000Z',
  options: {},
}

async function context(more: readonly Storage[] = []): Promise<ReconcilerContext> {
  const config = configure()
  const storage = await openStorage({ kind: 'local', name: 'local', directory: directory.path })
  const keys = new KeyRing({ current: undefined, previous: [] })
  return {
    config,
    queues,
    storages: [storage, ...more],
    keys,
    logger,
    clock: () => new Date('2026-11-23T05:00:00Z'),
  }
}

describe('a run that waits for steps that have ended', () => {
  const run = newRunId(source, new Date('2026-11-23T02:00:00Z'))
  const child = jobIds.destination(run, '9f3c2a1b', 'local')
  const childPayload = { v: 1 as const, run, source, destination: 'local' }
  const childKey = `${prefix}:verify:${child}`

  /** Parks the run behind one verify job. */
  async function park(): Promise<Job> {
    await requestRun(queues, run, request)
    const taker = new Worker('run', null, { connection: redis, prefix, autorun: false })
    workers.push(taker)
    const token = 'token'
    const job = await taker.getNextJob(token)
    await addChild(queues, run, 'verify', child, childPayload)
    expect(
      await job.moveToWaitingChildren(token).catch((error: unknown) => error instanceof WaitingChildrenError),
    ).toBe(true)
    expect(await job.getState()).toBe('waiting-children')
    return job
  }

  /** Ends the child without telling its parent, as a step does that was added again after it had ended. */
  async function endUntold(fails: boolean): Promise<void> {
    await redis.hdel(childKey, 'parentKey', 'parent')
    const taker = new Worker('verify', null, { connection: redis, prefix, autorun: false })
    workers.push(taker)
    const job = await taker.getNextJob('token')
    if (fails)
      await job.moveToFailed(Object.assign(new Error('bad'), { name: 'UnrecoverableError' }), 'token')
    else await job.moveToCompleted({ skipped: 'done' }, 'token')
    await redis.hset(childKey, 'parentKey', `${prefix}:run:${run}`)
  }

  it.each([
    ['completed', false],
    ['failed', true],
  ])('goes on when its step has %s', async (_, fails) => {
    const job = await park()
    await endUntold(fails)
    await reconcile(await context())
    expect(await job.getState()).toBe('waiting')
    expect((await job.getDependenciesCount()).unprocessed).toBe(0)
    expect(lines).toContain('warn The run waited for steps that had ended; it goes on.')
  })

  it('goes on when its step is gone altogether, and leaves nothing of that step', async () => {
    const job = await park()
    await redis.del(childKey)
    await reconcile(await context())
    expect(await job.getState()).toBe('waiting')
    expect(await redis.exists(childKey)).toBe(0)
  })

  it('is left alone while its step waits or runs', async () => {
    const job = await park()
    await reconcile(await context())
    const taker = new Worker('verify', null, { connection: redis, prefix, autorun: false })
    workers.push(taker)
    await taker.getNextJob('token')
    await reconcile(await context())
    expect(await job.getState()).toBe('waiting-children')
    expect(lines).toEqual([])
  })
})

describe('a report that says "running"', () => {
  const run = newRunId(source, new Date('2026-11-23T02:00:00Z'))
  const begun = beganAs(run)
  const write = async ({ keys }: ReconcilerContext, storages: readonly Storage[], report = begun) => {
    expect(await writeReport(storages, report, keys)).toEqual([])
  }
  const outcomes = async ({ storages, keys }: ReconcilerContext) => {
    const found: (string | undefined)[] = []
    for (const storage of storages) {
      for await (const { report } of findReports(storage, source, keys)) found.push(report?.outcome)
    }
    return found
  }
  const notified = () => queues.get('notify').count()
  const second = () => openStorage({ kind: 'local', name: 'second', directory: directory.join('second') })

  /** The run's job, ended as told. */
  async function ended(how: 'completed' | 'failed', value: object = {}): Promise<void> {
    await requestRun(queues, run, request)
    const taker = new Worker('run', null, { connection: redis, prefix, autorun: false })
    workers.push(taker)
    const job = await taker.getNextJob('token')
    if (how === 'failed') await job.moveToFailed(new Error('job stalled more than allowable limit'), 'token')
    else await job.moveToCompleted(value, 'token')
  }

  it('is closed as failed and told once, however often it is looked at, when Redis lost the run', async () => {
    const here = await context([await second()])
    await write(here, here.storages)
    await Promise.all([reconcile(here), reconcile(here)])
    await reconcile(here)
    expect(await outcomes(here)).toEqual(['failed', 'failed'])
    expect(await notified()).toBe(1)
    const [job] = await queues.get('notify').getWaiting()
    expect(job?.data).toMatchObject({ run, source, channel: 'log' })
    const found = await findReports(here.storages[0] as Storage, source, here.keys).next()
    expect(found.value).toMatchObject({
      report: {
        code: 'RUN_FAILED',
        reason: expect.stringContaining('Redis'),
        finishedAt: '2026-11-23T05:00:00.000Z',
      },
    })
  })

  it('is closed with the queue’s reason when the job failed outside of its processor', async () => {
    const here = await context()
    await write(here, here.storages)
    await ended('failed')
    await reconcile(here)
    const found = await findReports(here.storages[0] as Storage, source, here.keys).next()
    expect(found.value).toMatchObject({
      report: { outcome: 'failed', reason: 'job stalled more than allowable limit' },
    })
    expect(await notified()).toBe(1)
  })

  it('is left alone while its run waits or works', async () => {
    const here = await context()
    await write(here, here.storages)
    await requestRun(queues, run, request)
    await reconcile(here)
    expect(await outcomes(here)).toEqual(['running'])
    expect(await notified()).toBe(0)
  })

  it('gets what another store knows of the end, and nobody is told of a failure', async () => {
    const here = await context([await second()])
    const [one, two] = here.storages as [Storage, Storage]
    await write(here, [one], { ...begun, outcome: 'success', bytes: 7 })
    await write(here, [two])
    await reconcile(here)
    expect(await outcomes(here)).toEqual(['success', 'success'])
    expect(await notified()).toBe(0)
  })

  it('gets the outcome that the job returned when the run could write it nowhere', async () => {
    const here = await context()
    await write(here, here.storages)
    await ended('completed', {
      outcome: 'degraded',
      bytes: 7,
      destinations: [{ name: 'local', outcome: 'verified' }],
    })
    await reconcile(here)
    const found = await findReports(here.storages[0] as Storage, source, here.keys).next()
    expect(found.value).toMatchObject({
      report: { outcome: 'degraded', bytes: 7, destinations: [{ outcome: 'verified' }] },
    })
    expect(await notified()).toBe(0)
  })

  it('is brought, as it ended, to a store that did not take it when it began either', async () => {
    const here = await context()
    await write(here, here.storages)
    await ended('completed', {
      outcome: 'degraded',
      bytes: 7,
      destinations: [{ name: 'local', outcome: 'verified' }],
    })
    const both = { ...here, storages: [...here.storages, await second()] }
    await reconcile(both)
    expect(await outcomes(both)).toEqual(['degraded', 'degraded'])
    expect(await begunRuns(redis)).toEqual([])
  })

  it('is closed although another store does not answer', async () => {
    const here = await context()
    const down: Storage = {
      ...(await second()),

      list: async function* () {
        throw await Promise.resolve(new BackupError('STORAGE_UNREACHABLE', 'Down.'))
      },
    }
    await write(here, here.storages)
    await reconcile({ ...here, storages: [down, ...here.storages] })
    expect(await outcomes(here)).toEqual(['failed'])
    expect(lines.some((line) => line.includes('cannot be looked at: Down.'))).toBe(true)
  })
})

describe('a producer', () => {
  it('brings the schedules in line, and ends', async () => {
    await using producer = await startProducer(configure(), logger)
    expect(await readSchedules(queues)).toHaveLength(1)
    await producer.close()
  })

  it.each(['kill', 'pause'] as const)('ends although Redis does not answer (%s)', async (trouble) => {
    await using own = await startRedis()
    const producer = await startProducer(configure({ REDIS_URL: own.url }), logger)
    await own[trouble]()
    await producer.close()
  })

  it('needs a Redis', async () => {
    const { redis: _, ...rest } = configure()
    await expect(startProducer({ ...rest, redis: undefined }, logger)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })
})
