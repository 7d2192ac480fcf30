import { settingsOf } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import { readReport } from '@securyflex/shared/history'
import {
  checkCopy,
  type CopyCheck,
  copyBackup,
  keptByRules,
  listRuns,
  timeOfRun,
  uncheckedCopies,
} from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { storageOf } from './context.ts'
import { othersThan, tell } from './scrub.ts'
import type { StepCall, StepDefinition } from './step.ts'

/** Backups of another destination that are looked at, newest first: their reports say what was to be here. */
const most = 30

/**
 * Brings a destination the backups that it was to have and was left out of, from one that has them, and reads them back
 * there. One that was brought before, and whose check did not end good then, is checked again.
 */
export const copyStep: StepDefinition<'copy'> = {
  step: 'copy',
  async work(call) {
    const { payload, logger } = call
    const to = storageOf(call, payload.destination)
    const came = { backups: 0, segments: 0, bytes: 0 }
    const problems: BackupError[] = []
    for (const run of await uncheckedCopies(to, payload.source, call.keys)) {
      const isGood = await unlessBad(call, problems, () => readBack(call, run, to))
      if (isGood) logger.info(`${run}, which was brought to ${to.name} before, was read back there.`)
    }
    for (const gap of await findGaps(call, to)) {
      const bad: BackupError[] = []
      const from = await firstWhole(gap, (place) =>
        unlessBad(call, bad, async () => {
          const { segments, bytes } = await bring(call, gap.run, place, to)
          came.segments += segments
          came.bytes += bytes
          await call.passed('copy:sealed')
          await readBack(call, gap.run, to)
        }),
      )
      if (from === undefined) {
        problems.push(...bad)
        continue
      }
      came.backups += 1
      logger.info(`${gap.run}, which ${to.name} had missed, came there from ${from.name}.`)
    }
    if (problems[0] !== undefined) throw problems[0]
    return came
  },
}

/** A backup that is damaged, here or there, keeps none from the next one. @throws any other trouble */
async function unlessBad(
  { signal, logger }: StepCall<'copy'>,
  problems: BackupError[],
  work: () => Promise<void>,
): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    signal.throwIfAborted()
    const isOfBackup = error instanceof BackupError && error.exitStatus === 7
    if (!isOfBackup || error.class === 'transient') throw error
    logger.error(error.message, { error })
    problems.push(error)
    return false
  }
}

interface Gap {
  readonly run: string
  /** All that have it: it may be damaged at one of them. */
  readonly from: Storage[]
}

/** The first place from which a backup came whole; undefined if it did from none. */
async function firstWhole(
  { from }: Gap,
  bring: (place: Storage) => Promise<boolean>,
): Promise<Storage | undefined> {
  for (const place of from) if (await bring(place)) return place
  return undefined
}

/** What `to` misses and its next prune would leave, newest first, each with the destinations that have it. */
async function findGaps(call: StepCall<'copy'>, to: Storage): Promise<Gap[]> {
  const { payload, config, clock, signal, logger } = call
  const { source } = payload
  const { destinations, retention, timeZone } = settingsOf(config, source)
  const known = new Set(await listRuns(to, source))
  const gaps = new Map<string, Gap>()
  for (const from of destinations.filter((name) => name !== to.name).map((name) => storageOf(call, name))) {
    try {
      const runs = await listRuns(from, source)
      const dated = runs.map((run) => ({ run, time: timeOfRun(run), counts: true }))
      const wanted = keptByRules(dated, retention, clock(), timeZone)
      for (const run of runs.slice(0, most)) {
        if (known.has(run) || !wanted.has(run)) continue
        if (!(await wasLeftOut(call, from, run))) continue
        const gap = gaps.get(run) ?? { run, from: [] }
        gap.from.push(from)
        gaps.set(run, gap)
      }
    } catch (error) {
      signal.throwIfAborted()
      logger.warn(`${from.name} cannot say what ${to.name} misses: ${asBackupError(error).message}`, {
        error,
      })
    }
  }
  return [...gaps.values()].sort((one, other) => other.run.localeCompare(one.run))
}

/** A destination that was added later, or was not to have a backup, has missed nothing. */
async function wasLeftOut({ payload, keys }: StepCall<'copy'>, from: Storage, run: string): Promise<boolean> {
  const report = await readReport(from, payload.source, run, keys)
  return (
    report?.destinations.some(({ name, outcome }) => name === payload.destination && outcome === 'failed') ===
    true
  )
}

async function bring(call: StepCall<'copy'>, run: string, from: Storage, to: Storage) {
  return copyBackup({ ...common(call, run, to), from })
}

/** Reads a backup back where it was brought to, and mends there what is bad. */
async function readBack(call: StepCall<'copy'>, run: string, to: Storage): Promise<void> {
  const { payload, config } = call
  await checkCopy({
    ...common(call, run, to),
    others: othersThan(call, to.name, settingsOf(config, payload.source).destinations),
    onScrubbed: (scrubbed) => {
      tell(call, payload.source, to.name, scrubbed)
    },
  })
}

function common(
  { payload, keys, config, clock, signal }: StepCall<'copy'>,
  run: string,
  to: Storage,
): Omit<CopyCheck, 'others'> {
  const { source } = payload
  return { to, source, run, keys, installation: config.installation, now: clock(), signal }
}
