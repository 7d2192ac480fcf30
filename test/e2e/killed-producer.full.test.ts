import { once } from 'node:events'
import { cp, rm } from 'node:fs/promises'
import { afterAll, describe, expect, it } from '@jest/globals'
import { type RunReport, writeReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { readSchedules } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import type { Job } from 'bullmq'
import { until } from '../helpers/command.ts'
import type { Order } from '../helpers/doomed-process.ts'
import { startInstallation, type WorkerProcess } from '../helpers/installation.ts'

const minute = 60_000
/** Half a day from now: the schedule that is wanted never comes due while the test runs. */
const cron = `0 ${String((new Date().getUTCHours() + 12) % 24)} * * *`
const installation = await startInstallation({ BACKUP_CRON: cron, BACKUP_TIMEZONE: 'UTC' })
const { config, queues, source, storage } = installation
const lost = newRunId(source, new Date())
const template = `${config.directory}-template`

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

/** A repository, to begin with. */
async function makeTemplate(): Promise<void> {
  await using worker = await installation.startWorker()
  await installation.ended(await installation.request())
  await worker.kill('SIGKILL')
  await cp(config.directory, template, { recursive: true })
}

/**
 * All that a producer has to do: a slot that nobody served, a schedule that is no longer the wanted one, and a run
 * whose jobs Redis has lost.
 * @returns the time at which the slot is overdue
 */
async function prepare(): Promise<Date> {
  await queues.redis.flushall()
  await rm(config.directory, { recursive: true })
  await cp(template, config.directory, { recursive: true })
  const now = new Date().toISOString()
  const report: RunReport = {
    format: 1,
    kind: 'run',
    run: lost,
    source,
    outcome: 'running',
    requestedBy: 'test',
    requestedAt: now,
    startedAt: now,
    destinations: [{ name: 'local', outcome: 'pending' }],
    notifications: [],
    warnings: [],
    overlaps: 0,
    generation: 0,
  }
  await writeReport([storage], report, new KeyRing(config.keys))
  const repeated = { name: 'schedule', data: { v: 1, source } }
  await queues.get('schedule').upsertJobScheduler(source, { pattern: '* * * * *', tz: 'UTC' }, repeated)
  const [schedule] = await readSchedules(queues)
  if (schedule?.next === undefined) throw new Error('no schedule')
  return new Date(schedule.next.getTime() + 1000)
}

async function start(order: Order): Promise<WorkerProcess> {
  const producer = await installation.startProgram('doomed-process.ts')
  producer.process.send(order)
  return producer
}

async function allDone(): Promise<boolean> {
  const { outcome } = (await installation.report(lost)) ?? {}
  const [schedule] = await readSchedules(queues)
  return outcome === 'failed' && schedule?.cron === cron
}

/** The effects of an undisturbed producer. */
async function discover(): Promise<string[]> {
  const names = new Set<string>()
  const now = (await prepare()).toISOString()
  await using producer = await start({ serve: 'producer', now, tell: true })
  producer.process.on('message', ({ effect }: { effect?: string }) => {
    if (effect !== undefined) names.add(effect)
  })
  await until('all that the producer does', allDone, minute)
  return [...names]
}

await makeTemplate()
const points = (await discover()).flatMap((name) => [
  { name, when: 'before' as const },
  { name, when: 'after' as const },
])

describe('a producer that is killed', () => {
  it.each(points)(
    '$when “$name” leaves its work to the next one, which does it once',
    async ({ name, when }) => {
      const now = (await prepare()).toISOString()
      await using first = await start({ serve: 'producer', now, end: { name, occurrence: 1, when } })
      if (first.process.signalCode === null) await once(first.process, 'exit')
      expect(first.process.signalCode).toBe('SIGKILL')
      await using second = await start({ serve: 'producer', now })
      await until('all that the producer does', allDone, minute)

      const requests = (await queues.get('run').getJobs()) as Job<{ slot?: string; requestedBy: string }>[]
      expect(requests.map(({ data }) => data.requestedBy)).toEqual(['schedule, late'])
      expect(await queues.get('schedule').getDelayedCount()).toBe(1)
      const told = (await queues.get('notify').getJobs()) as Job<{ run: string }>[]
      expect(told.map(({ data }) => data.run)).toEqual([lost])
      expect(second.process.exitCode).toBeNull()
    },
    2 * minute,
  )
})
