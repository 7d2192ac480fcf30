import { median, timed } from './measure.ts'
import { pipelinesOf } from './pipelines.ts'
import { install } from './product.ts'
import { createSmall, dropSmall, writeSources } from './small-databases.ts'
import type { Stage } from './stage.ts'
import { atLeast, note, type Row } from './table.ts'

const runs = 100
/** Dumps at a time, on either side: as a worker comes, and as many as there are cores. */
const processes = [1, 2]

/**
 * The rate of many small runs beside a shell loop of pg_dump, in turn. A worker runs for months, and its programs are
 * compiled while they run: its first hundred runs are measured too, and reported, but the next hundred count.
 */
export async function compareSmallRuns(stage: Stage): Promise<Row[]> {
  const names = Array.from({ length: runs }, (_, index) => `small_${String(index + 1)}`)
  await createSmall(stage, names)
  const rows: Row[] = []
  for (const many of processes) rows.push(...(await compare(stage, names, many)))
  await dropSmall(stage, names)
  return rows
}

async function compare(stage: Stage, names: readonly string[], many: number): Promise<Row[]> {
  const [ours, first, theirs]: [number[], number[], number[]] = [[], [], []]
  for (let round = 1; round <= stage.options.rounds; round++) {
    const loopTook = await loop(stage, names, many)
    const [cold, warm] = await backUpAll(stage, names, many)
    theirs.push(loopTook)
    first.push(cold)
    ours.push(warm)
    stage.say(
      `${String(round)}, ${String(many)} at a time: pg_dump ${rate(loopTook)}, product ${rate(cold)}, then ${rate(warm)}`,
    )
  }
  const of = (seconds: readonly number[]) => runs / median(seconds)
  const what = `${String(runs)} runs of databases under 1 MB ÷ a shell loop of \`pg_dump -Fc\`, ${String(many)} at a time`
  return [
    atLeast(
      `Rate of ${what}`,
      0.5,
      of(ours) / of(theirs),
      `${of(ours).toFixed(1)}/s ÷ ${of(theirs).toFixed(1)}/s`,
    ),
    note(`The same for the first ${String(runs)} runs of a worker`, (of(first) / of(theirs)).toFixed(2)),
  ]
}

function rate(seconds: number): string {
  return `${(runs / seconds).toFixed(1)}/s`
}

/** Seconds for a dump of each. */
async function loop(stage: Stage, names: readonly string[], many: number): Promise<number> {
  const room = await stage.room('loop')
  const script = `printf '%s\\n' ${names.join(' ')} | xargs -P ${String(many)} -I '{}' pg_dump -Fc -f '{}.dump' -d '{}'`
  const { seconds } = await timed(() => pipelinesOf(stage)(script, room))
  return seconds
}

/** Seconds from the first request, all of them made at once, until the last backup is sealed; and once more. */
async function backUpAll(
  stage: Stage,
  names: readonly string[],
  many: number,
): Promise<[first: number, then: number]> {
  const file = await writeSources(stage, Object.fromEntries(names.map((name) => [name, name])))
  const settings = { WORKER_CONCURRENCY_DUMP: String(many), BACKUP_CONFIG: file }
  await using installation = await install(stage, settings)
  const all = async () => {
    const backups = await installation.backUpAll(names)
    return Math.max(...backups.map(({ seconds }) => seconds))
  }
  return [await all(), await all()]
}
