import { compareChanges } from './changes.ts'
import { compareDue } from './due.ts'
import { compareFirstBackups } from './first.ts'
import { compareMemory } from './memory.ts'
import { parseOptions, sections, type Section } from './options.ts'
import { refuseMissing } from './prerequisites.ts'
import { compareRedis } from './redis.ts'
import { compareRestores } from './restore.ts'
import { compareSmallRuns } from './small.ts'
import { type Stage, setStage } from './stage.ts'
import { printTable, type Row, writeTable } from './table.ts'
import { compareWorkers } from './workers.ts'

/** Each section stands alone; `changes` and `memory` alter the database, so they come last. */
const work: Record<Section, (stage: Stage) => Promise<Row[]>> = {
  first: compareFirstBackups,
  restore: compareRestores,
  small: compareSmallRuns,
  due: compareDue,
  workers: compareWorkers,
  redis: compareRedis,
  changes: compareChanges,
  memory: compareMemory,
}

/** Measures this product beside the programs that it replaces, on one database, in one run. */
async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) return
  await refuseMissing()
  await using stage = await setStage(options)
  const rows: Row[] = []
  for (const section of sections) {
    if (!options.only.includes(section)) continue
    stage.say(`— ${section}`)
    rows.push(...(await work[section](stage)))
  }
  printTable(stage, rows)
  await writeTable(stage, rows)
  if (rows.some(({ met }) => met === false)) process.exitCode = 1
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exitCode = 1
})
