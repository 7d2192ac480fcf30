import { changeBench } from './data.ts'
import { bytesBelow, inMegabytes, inSeconds } from './measure.ts'
import { pipelinesOf } from './pipelines.ts'
import { install } from './product.ts'
import type { Stage } from './stage.ts'
import { atMost, note, type Row } from './table.ts'

/** What later backups store: of unchanged data, and after a day's work beside restic on the same two dumps. */
export async function compareChanges(stage: Stage): Promise<Row[]> {
  await using installation = await install(stage)
  const shell = pipelinesOf(stage)
  const room = await stage.room('restic')
  const restic = async () => {
    const before = bytesBelow(`${room}/repository`)
    await shell('pg_dump -Fc -Z0 | restic -q -r repository backup --stdin --stdin-filename archive', room)
    return bytesBelow(`${room}/repository`) - before
  }
  const product = async () => {
    const before = installation.stored()
    const { seconds } = await installation.backup()
    return { seconds, bytes: installation.stored() - before }
  }
  await shell('restic -q init -r repository', room)
  const first = await product()
  const unchanged = await product()
  await restic()
  await changeBench(stage.connection, stage.options.size)
  const changed = await product()
  const theirs = await restic()
  return [
    atMost(
      'Stored by a second backup of unchanged data ÷ the first',
      0.02,
      unchanged.bytes / first.bytes,
      `${inMegabytes(unchanged.bytes)} ÷ ${inMegabytes(first.bytes)}`,
    ),
    note('Time of that second backup', inSeconds(unchanged.seconds)),
    atMost(
      'Stored after 1% inserts and 1,000 scattered updates ÷ restic',
      1,
      changed.bytes / theirs,
      `${inMegabytes(changed.bytes)} ÷ ${inMegabytes(theirs)}`,
    ),
    note('Time of that third backup', inSeconds(changed.seconds)),
  ]
}
