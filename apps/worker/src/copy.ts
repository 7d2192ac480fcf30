import { settingsOf } from '@securyflex/shared/config'
import { asBackupError } from '@securyflex/shared/errors'
import { readReport } from '@securyflex/shared/history'
import {
  BackupReader,
  checkBackup,
  copyBackup,
  keptByRules,
  listRuns,
  readBackup,
  timeOfRun,
} from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { storageOf } from './context.ts'
import type { StepCall, StepDefinition } from './step.ts'

/** Backups of another destination that are looked at, newest first: their reports say what was to be here. */
const most = 30

/** Brings a destination the backups that it was to have and was left out of, from one that has them. */
export const copyStep: StepDefinition<'copy'> = {
  step: 'copy',
  async work(call) {
    const { payload, logger } = call
    const to = storageOf(call, payload.destination)
    const came = { backups: 0, segments: 0, bytes: 0 }
    for (const { run, from } of await findGaps(call, to)) {
      const { segments, bytes } = await bring(call, run, from, to)
      came.backups += 1
      came.segments += segments
      came.bytes += bytes
      logger.info(`${run}, which ${to.name} had missed, came there from ${from.name}.`)
    }
    return came
  },
}

interface Gap {
  readonly run: string
  readonly from: Storage
}

/** What `to` misses and its next prune would leave, newest first, each with a destination that has it. */
async function findGaps(call: StepCall<'copy'>, to: Storage): Promise<Gap[]> {
  const { payload, config, clock, signal, logger } = call
  const { source } = payload
  const { destinations, retention, timeZone } = settingsOf(config, source)
  const known = new Set(await listRuns(to, source))
  const gaps: Gap[] = []
  for (const from of destinations.filter((name) => name !== to.name).map((name) => storageOf(call, name))) {
    try {
      const runs = await listRuns(from, source)
      const dated = runs.map((run) => ({ run, time: timeOfRun(run), counts: true }))
      const wanted = keptByRules(dated, retention, clock(), timeZone)
      for (const run of runs.slice(0, most)) {
        if (known.has(run) || !wanted.has(run)) continue
        if (!(await wasLeftOut(call, from, run))) continue
        known.add(run)
        gaps.push({ run, from })
      }
    } catch (error) {
      signal.throwIfAborted()
      logger.warn(`${from.name} cannot say what ${to.name} misses: ${asBackupError(error).message}`, {
        error,
      })
    }
  }
  return gaps.sort((one, other) => other.run.localeCompare(one.run))
}

/** A destination that was added later, or was not to have a backup, has missed nothing. */
async function wasLeftOut({ payload, keys }: StepCall<'copy'>, from: Storage, run: string): Promise<boolean> {
  const report = await readReport(from, payload.source, run, keys)
  return (
    report?.destinations.some(({ name, outcome }) => name === payload.destination && outcome === 'failed') ===
    true
  )
}

/** Copies a backup, and reads back what came. */
async function bring(
  { payload, keys, config, clock, signal }: StepCall<'copy'>,
  run: string,
  from: Storage,
  to: Storage,
): Promise<{ segments: number; bytes: number }> {
  const { source } = payload
  const { installation } = config
  const copied = await copyBackup({ from, to, source, run, keys, installation, now: clock(), signal })
  const reader = new BackupReader(to, await readBackup(to, source, run, keys))
  await checkBackup(to, reader, { predecessor: undefined, full: false, now: clock(), signal })
  return copied
}
