import type { ChildProcess } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import type { Queues } from '@securyflex/shared/queue'
import { type Installation, install } from './product.ts'
import { createSmall, dropSmall, writeSources } from './small-databases.ts'
import type { Stage } from './stage.ts'
import { atMost, note, type Row } from './table.ts'

const many = 50
/** Bytes that a run may take. */
const limit = 60e3
/** Days after which nothing of a run is kept in the queues; docs/queues.md. */
const historyDays = 30

/** Runs after which a queue has as many events as it keeps. */
const first = 40

/** What a run takes of Redis' memory, alone and as one of many, and what is left when its history has expired. */
export async function compareRedis(stage: Stage): Promise<Row[]> {
  await createSmall(stage, ['remembered'])
  const [old, names] = [namesOf('old', first), namesOf('remembered', many)]
  const databases = Object.fromEntries(['alone', ...old, ...names].map((name) => [name, 'remembered']))
  const settings = { BACKUP_CONFIG: await writeSources(stage, databases) }
  await using installation = await install(stage, settings)
  const { queues, workers } = installation

  // What queues take however few runs they remember does not count.
  await installation.backUpAll(old)
  const later = await expire(installation, 1, workers[0])
  const before = await bytesIn(queues)
  const beforeEvents = await bytesIn(queues, isEvents)
  const alone = (await peakDuring(installation, ['alone'])) - before
  const beforeMany = await bytesIn(queues)
  const ofMany = ((await peakDuring(installation, names)) - beforeMany) / many
  await expire(installation, 2, later)
  const events = await bytesIn(queues, isEvents)
  const left = Math.max(0, (await bytesIn(queues)) - events - (before - beforeEvents))
  const kept = await keysOf(queues, ['alone', ...names])
  await dropSmall(stage, ['remembered'])
  return [
    atMost(
      'Redis memory of a run of one batch at its peak, alone, kB',
      limit / 1e3,
      alone / 1e3,
      inKilobytes(alone),
    ),
    atMost(
      `The same as one of ${String(many)}, kB`,
      limit / 1e3,
      ofMany / 1e3,
      `${inKilobytes(ofMany * many)} ÷ ${String(many)}`,
    ),
    atMost(
      `Keys that name one of these ${String(many + 1)} runs when their history has expired`,
      0,
      kept.length,
      kept[0] ?? '',
    ),
    atMost(
      'Redis memory that is left of each then, without the newest events, kB',
      0.1,
      left / 1e3 / (many + 1),
      `${inKilobytes(left)} ÷ ${String(many + 1)}`,
    ),
    note('Streams of the newest events, however many runs there were', inKilobytes(events)),
  ]
}

function namesOf(what: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${what}_${String(index + 1)}`)
}

/** Has a worker whose clock is that many times the history's days ahead make one run, in place of `worker`. */
async function expire(
  installation: Installation,
  times: number,
  worker: ChildProcess | undefined,
): Promise<ChildProcess> {
  worker?.kill('SIGKILL')
  const later = await installation.start({
    file: 'later-worker.ts',
    args: [String(times * (historyDays + 1))],
    serves: 'Serving all steps',
  })
  // Each queue forgets what has expired when another of its jobs ends.
  await installation.backup('old_1')
  return later
}

function inKilobytes(bytes: number): string {
  return `${(bytes / 1e3).toFixed(1)} kB`
}

/** Between two looks, in ms. */
const interval = 20

/** The most that all keys take while these sources are backed up, in bytes. */
async function peakDuring(installation: Installation, sources: readonly string[]): Promise<number> {
  let [peak, done] = [0, false]
  const all = installation.backUpAll(sources).finally(() => (done = true))
  const watching = async () => {
    while (!done) {
      peak = Math.max(peak, await bytesIn(installation.queues))
      await wait(interval)
    }
  }
  await Promise.all([all, watching()])
  return Math.max(peak, await bytesIn(installation.queues))
}

/** BullMQ keeps the newest events of each queue: as many, whatever was forgotten. */
const isEvents = (key: string) => key.endsWith(':events')

/** What the installation's keys take, in bytes; those that `counts`, if it is given. */
async function bytesIn({ redis }: Queues, counts = (_key: string) => true): Promise<number> {
  const keys = (await keysIn(redis)).filter(counts)
  const asked = redis.pipeline()
  for (const key of keys) asked.memory('USAGE', key, 'SAMPLES', 0)
  const answers = (await asked.exec()) ?? []
  // One that is gone meanwhile takes nothing.
  return answers.reduce((sum, [, bytes]) => sum + Number(bytes ?? 0), 0)
}

async function keysIn(redis: Queues['redis']): Promise<string[]> {
  const keys = new Set<string>()
  for await (const some of redis.scanStream({ match: 'securyflex:*', count: 1000 })) {
    for (const key of some as string[]) keys.add(key)
  }
  return [...keys]
}

/** Keys that name a run of these sources. */
async function keysOf({ redis }: Queues, sources: readonly string[]): Promise<string[]> {
  const keys = await keysIn(redis)
  return keys.filter((key) => sources.some((name) => key.includes(`${name}.`)))
}
