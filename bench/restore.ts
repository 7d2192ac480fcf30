import { join } from 'node:path'
import { createDatabase, dropDatabase } from '@securyflex/shared/postgres'
import { inSeconds, median, timed } from './measure.ts'
import { pipelinesOf } from './pipelines.ts'
import { command, install, type Installation } from './product.ts'
import type { Stage } from './stage.ts'
import { atMost, missed, type Row } from './table.ts'

/** Restores beside pg_restore of a local archive, in turn; each creates its database, and the time of that counts. */
export async function compareRestores(stage: Stage): Promise<Row[]> {
  await using installation = await install(stage)
  await installation.backup()
  const shell = pipelinesOf(stage)
  const room = await stage.room('restore')
  await shell('pg_dump -Fc -Z0 -f archive', room)
  const archive = join(room, 'archive')
  const theirs = (options: string) =>
    into(stage, async (name) => {
      await createDatabase(stage.connection, name)
      await shell(`pg_restore --exit-on-error ${options} -d ${name} ${archive}`, room)
    })
  const ours = (...options: string[]) =>
    into(stage, (name) => command(installation, ['restore', 'latest', '--to', name, '--yes', ...options]))
  return [
    await compare(
      stage,
      'Streamed restore ÷ `pg_restore` of the archive',
      1.15,
      () => ours(),
      () => theirs(''),
    ),
    await parallel(stage, installation, ours, theirs),
  ]
}

async function parallel(
  stage: Stage,
  installation: Installation,
  ours: (...options: string[]) => Promise<number>,
  theirs: (options: string) => Promise<number>,
): Promise<Row> {
  const what = 'Restore with `--jobs 2`, materialising included ÷ `pg_restore -j2`'
  const help = await command(installation, ['restore', '--help'])
  if (!help.includes('--jobs')) return missed(what, '≤ 1.3', 'restore has no --jobs')
  return compare(
    stage,
    what,
    1.3,
    () => ours('--jobs', '2'),
    () => theirs('-j2'),
  )
}

async function compare(
  stage: Stage,
  what: string,
  target: number,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
): Promise<Row> {
  const [mine, other]: [number[], number[]] = [[], []]
  for (let round = 1; round <= stage.options.rounds; round++) {
    other.push(await theirs())
    mine.push(await ours())
    stage.say(
      `${String(round)}: pg_restore ${inSeconds(other.at(-1) ?? 0)}, product ${inSeconds(mine.at(-1) ?? 0)}`,
    )
  }
  return atMost(
    what,
    target,
    median(mine) / median(other),
    `${inSeconds(median(mine))} ÷ ${inSeconds(median(other))}`,
  )
}

/** Seconds that `fill` takes to make a database, which is dropped again. */
async function into({ connection }: Stage, fill: (name: string) => Promise<unknown>): Promise<number> {
  const name = 'bench_restored'
  const { seconds } = await timed(() => fill(name))
  await dropDatabase(connection, name)
  return seconds
}
