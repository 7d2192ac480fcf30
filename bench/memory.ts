import { growBench } from './data.ts'
import { type FirstBackup, firstBackup } from './first.ts'
import { inMegabytes, inSeconds, median } from './measure.ts'
import type { Stage } from './stage.ts'
import { atMost, note, type Row } from './table.ts'

/** How much larger the larger database is. */
const factor = 4
/** Bytes of resident memory that a worker may come to. */
const limit = 300e6
/** `BACKUP_SPOOL_LIMIT` as it comes. */
const spoolLimit = 2 ** 30

/** Peak memory and spool of first backups, of the database as it is and four times as large. */
export async function compareMemory(stage: Stage): Promise<Row[]> {
  const ordinary = await firstBackups(stage)
  stage.say(`Making the database ${String(factor)} times as large …`)
  await growBench(stage.connection, stage.options.size, factor)
  const large = await firstBackups(stage)
  const [peak, largePeak] = [workerPeak(ordinary), workerPeak(large)]
  const spool = Math.max(...[...ordinary, ...large].map(({ peaks }) => peaks.directory))
  return [
    atMost('Peak memory of the worker process (VmHWM), MB', limit / 1e6, peak / 1e6, inMegabytes(peak)),
    atMost(
      `The same for a database ${String(factor)} times as large ÷ that`,
      1.15,
      largePeak / peak,
      `${inMegabytes(largePeak)} ÷ ${inMegabytes(peak)}`,
    ),
    atMost(
      'Peak of the spool ÷ its limit',
      1,
      spool / spoolLimit,
      `${inMegabytes(spool)} ÷ ${inMegabytes(spoolLimit)}`,
    ),
    note('Backup of the larger database', inSeconds(median(large.map(({ seconds }) => seconds)))),
    ...toolRows([...ordinary, ...large]),
  ]
}

async function firstBackups(stage: Stage): Promise<FirstBackup[]> {
  const backups: FirstBackup[] = []
  while (backups.length < stage.options.rounds) backups.push(await firstBackup(stage))
  return backups
}

function workerPeak(backups: readonly FirstBackup[]): number {
  return median(backups.map(({ peaks }) => peaks.process))
}

function toolRows(backups: readonly FirstBackup[]): Row[] {
  const peaks = new Map<string, number>()
  for (const [name, bytes] of backups.flatMap((backup) => [...backup.peaks.tools])) {
    peaks.set(name, Math.max(peaks.get(name) ?? 0, bytes))
  }
  return [...peaks].map(([name, bytes]) =>
    note(`Peak memory of \`${name}\`, a child of the worker`, inMegabytes(bytes)),
  )
}
