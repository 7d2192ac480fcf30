import { median, timed } from './measure.ts'
import { pipelinesOf } from './pipelines.ts'
import { install } from './product.ts'
import { createSmall, dropSmall, writeSources } from './small-databases.ts'
import type { Stage } from './stage.ts'
import { atLeast, type Row } from './table.ts'

const runs = 100
/** Dumps at a time, on either side. */
const processes = 2

/** The rate of many small runs beside a shell loop of pg_dump, in turn. */
export async function compareSmallRuns(stage: Stage): Promise<Row[]> {
  const names = Array.from({ length: runs }, (_, index) => `small_${String(index + 1)}`)
  await createSmall(stage, names)
  const [ours, theirs]: [number[], number[]] = [[], []]
  for (let round = 1; round <= stage.options.rounds; round++) {
    theirs.push(await loop(stage, names))
    ours.push(await backUpAll(stage, names))
    stage.say(`${String(round)}: pg_dump ${rate(theirs.at(-1) ?? 0)}, product ${rate(ours.at(-1) ?? 0)}`)
  }
  await dropSmall(stage, names)
  const [mine, other] = [runs / median(ours), runs / median(theirs)]
  return [
    atLeast(
      `Rate of ${String(runs)} runs of databases under 1 MB ÷ a shell loop of \`pg_dump -Fc\`, ${String(processes)} at a time`,
      0.5,
      mine / other,
      `${mine.toFixed(1)}/s ÷ ${other.toFixed(1)}/s`,
    ),
  ]
}

function rate(seconds: number): string {
  return `${(runs / seconds).toFixed(1)}/s`
}

/** Seconds for a dump of each. */
async function loop(stage: Stage, names: readonly string[]): Promise<number> {
  const room = await stage.room('loop')
  const script = `printf '%s\\n' ${names.join(' ')} | xargs -P ${String(processes)} -I '{}' pg_dump -Fc -f '{}.dump' -d '{}'`
  const { seconds } = await timed(() => pipelinesOf(stage)(script, room))
  return seconds
}

/** Seconds from the first request, all of them made at once, until the last backup is sealed. */
async function backUpAll(stage: Stage, names: readonly string[]): Promise<number> {
  const file = await writeSources(stage, Object.fromEntries(names.map((name) => [name, name])))
  const settings = { WORKER_CONCURRENCY_DUMP: String(processes), BACKUP_CONFIG: file }
  await using installation = await install(stage, settings)
  const { value } = await timed(() => Promise.all(names.map((name) => installation.backup(name))))
  return Math.max(...value.map(({ seconds }) => seconds))
}
