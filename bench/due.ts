import type { ChildProcess } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { readSchedules } from '@securyflex/shared/queue'
import { type Installation, install } from './product.ts'
import { createSmall, dropSmall, writeSources } from './small-databases.ts'
import type { Stage } from './stage.ts'
import { atMost, note, type Row } from './table.ts'

const many = 100
/** As many runs are there when one producer and one worker are killed: the middle of it all. */
const killAfter = 40
/** ms that two producers and two workers have to start in before the slot. */
const startingTime = 25_000
/** ms after the slot from which on a run counts as lost. */
const patience = 150_000
/** Between two looks, in ms; the times themselves are those of the queue. */
const interval = 5

/** What became of the slot that all sources have in common. */
interface Outcome {
  /** Seconds from the slot to the request of each run, ascending. */
  readonly delays: readonly number[]
  /** Sources of which no run, or more than one, was asked for. */
  readonly wrong: number
  /** Runs that were there when the processes were killed, and seconds after the slot. */
  readonly killedAt: number
  readonly killedAfter: number
}

/** How soon the runs of many sources are asked for that are due in the same second, while processes die. */
export async function compareDue(stage: Stage): Promise<Row[]> {
  await createSmall(stage, ['due'])
  const outcomes: Outcome[] = []
  for (let round = 1; round <= stage.options.rounds; round++) {
    const outcome = await oneSlot(stage)
    outcomes.push(outcome)
    stage.say(
      `${String(round)}: killed at ${String(outcome.killedAt)} of ${String(many)} after ${outcome.killedAfter.toFixed(2)} s, half ${half(outcome).toFixed(2)} s, p99 ${p99(outcome).toFixed(2)} s, the last ${last(outcome).toFixed(2)} s, ${String(outcome.wrong)} lost or doubled`,
    )
  }
  await dropSmall(stage, ['due'])
  const worst = Math.max(...outcomes.map(p99))
  const what = `${String(many)} sources due in the same second, two producers, two workers, one of each killed in the middle`
  return [
    atMost(
      `${what}: from the slot to the request of a run, 99th percentile of the worst round, s`,
      2,
      worst,
      `${worst.toFixed(2)} s`,
    ),
    atMost(
      'The same: runs that were lost, or asked for twice',
      0,
      outcomes.reduce((sum, { wrong }) => sum + wrong, 0),
      `${String(outcomes.length)} × ${String(many)}`,
    ),
    note('The same: the last of all', `${Math.max(...outcomes.map(last)).toFixed(2)} s`),
  ]
}

/** The nearest rank: of 100 the second largest. */
function p99({ delays }: Outcome): number {
  return delays[Math.ceil(delays.length * 0.99) - 1] ?? Number.POSITIVE_INFINITY
}

function half({ delays }: Outcome): number {
  return delays[Math.ceil(delays.length / 2) - 1] ?? Number.POSITIVE_INFINITY
}

function last({ delays }: Outcome): number {
  return delays.at(-1) ?? Number.POSITIVE_INFINITY
}

async function oneSlot(stage: Stage): Promise<Outcome> {
  const slot = new Date(Math.ceil((Date.now() + startingTime) / 60_000) * 60_000)
  const schedule = `${String(slot.getUTCMinutes())} ${String(slot.getUTCHours())} * * *`
  const names = Array.from({ length: many }, (_, index) => `due_${String(index + 1)}`)
  const databases = Object.fromEntries(names.map((name) => [name, 'due']))
  const file = await writeSources(stage, databases, { schedule, timeZone: 'UTC', spreadMinutes: 0 })
  await using installation = await install(stage, { BACKUP_CONFIG: file }, { workers: 2 })
  const producers = [await startProducer(installation), await startProducer(installation)]
  await until(installation, names)
  if (Date.now() > slot.getTime()) throw new Error('The processes were not there before the slot.')

  const count = () => countRuns(installation)
  let now = 0
  while ((now = await count()) < killAfter) await wait(interval)
  const [killedAt, killedAfter] = [now, (Date.now() - slot.getTime()) / 1000]
  for (const doomed of [producers[0], installation.workers[0]]) doomed?.kill('SIGKILL')
  while ((now = await count()) < many && Date.now() < slot.getTime() + patience) await wait(interval)
  await untilQuiet(installation, slot)
  return { ...(await look(installation, names, slot)), killedAt, killedAfter }
}

function startProducer(installation: Installation): Promise<ChildProcess> {
  return installation.start({ file: '../apps/producer/src/main.ts' })
}

/** Waits until every schedule is set, and both producers are there: each reads the stream of triggers. */
async function until({ queues }: Installation, names: readonly string[]): Promise<void> {
  const readers = async () => {
    const clients = (await queues.redis.client('LIST')) as string
    return clients.split('\n').filter((line) => line.includes('cmd=xreadgroup')).length
  }
  const schedules = async () =>
    (await readSchedules(queues)).filter(({ source }) => names.includes(source)).length
  while ((await schedules()) < names.length || (await readers()) < 2) await wait(50)
}

async function countRuns({ queues }: Installation): Promise<number> {
  const counts = await queues.get('run').getJobCounts()
  return Object.values(counts).reduce((sum, one) => sum + one, 0)
}

/** A slot that the dead worker had taken is taken over; only then is it known that none is asked for twice. */
async function untilQuiet({ queues }: Installation, slot: Date): Promise<void> {
  const busy = async () => {
    const counts = await queues.get('schedule').getJobCounts('active', 'waiting', 'prioritized')
    return Object.values(counts).some((one) => one > 0)
  }
  while ((await busy()) && Date.now() < slot.getTime() + patience) await wait(50)
}

async function look(
  { queues }: Installation,
  names: readonly string[],
  slot: Date,
): Promise<Pick<Outcome, 'delays' | 'wrong'>> {
  const jobs = await queues.get('run').getJobs()
  const due = jobs.filter(({ data }) => (data as { slot?: string }).slot === slot.toISOString())
  const ofSource = (name: string) => due.filter(({ data }) => (data as { source: string }).source === name)
  return {
    delays: due.map(({ timestamp }) => (timestamp - slot.getTime()) / 1000).sort((a, b) => a - b),
    wrong: names.filter((name) => ofSource(name).length !== 1).length,
  }
}
