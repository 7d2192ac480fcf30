import { install } from './product.ts'
import { median } from './measure.ts'
import { createSmall, dropSmall, writeSources } from './small-databases.ts'
import type { Stage } from './stage.ts'
import { atLeast, note, type Row } from './table.ts'

const runs = 40
/** Of each request to the destination, in ms. */
const latency = 200

/** How much faster two worker processes are than one where a distant store is what is waited for. */
export async function compareWorkers(stage: Stage): Promise<Row[]> {
  await createSmall(stage, ['backlog'])
  const seconds: Record<1 | 2, number[]> = { 1: [], 2: [] }
  for (let round = 1; round <= stage.options.rounds; round++) {
    for (const workers of [1, 2] as const) seconds[workers].push(await backlog(stage, workers))
    const [one = 0, two = 0] = [seconds[1].at(-1), seconds[2].at(-1)]
    stage.say(`${String(round)}: one worker ${one.toFixed(1)} s, two ${two.toFixed(1)} s`)
  }
  await dropSmall(stage, ['backlog'])
  const [one, two] = [median(seconds[1]), median(seconds[2])]
  return [
    atLeast(
      `A backlog of ${String(runs)} small runs to a destination with ${String(latency)} ms per request: time of one worker process ÷ that of two`,
      1.8,
      one / two,
      `${one.toFixed(1)} s ÷ ${two.toFixed(1)} s`,
    ),
    note('The same: runs a minute with one worker process', ((60 * runs) / one).toFixed(0)),
  ]
}

/** Seconds from the first request, all of them made at once, until the last run has ended, pruned and told. */
async function backlog(stage: Stage, workers: 1 | 2): Promise<number> {
  const names = Array.from({ length: runs }, (_, index) => `backlog_${String(index + 1)}`)
  const file = await writeSources(stage, Object.fromEntries(names.map((name) => [name, 'backlog'])))
  const worker = {
    file: 'slow-worker.ts',
    args: [String(latency)],
    serves: 'Serving all steps',
  }
  await using installation = await install(stage, { BACKUP_CONFIG: file }, { worker, workers })
  const before = performance.now()
  await installation.backUpAll(names)
  return (performance.now() - before) / 1000
}
