import { settingsOf } from '@securyflex/shared/config'
import { runsUnderWay, unsoundRuns } from '@securyflex/shared/history'
import { prune } from '@securyflex/shared/repository'
import { storageOf } from './context.ts'
import type { StepDefinition } from './step.ts'

/** Removes the source's old backups at one destination, under the rules of `planPrune`. */
export const pruneStep: StepDefinition<'prune'> = {
  step: 'prune',
  async work(call) {
    const { payload, keys, config, signal, clock, logger } = call
    const { source, destination, retentionDays } = payload
    const storage = storageOf(call, destination)
    const { cipher, retention, timeZone } = settingsOf(config, source)
    const { plan, ...pruned } = await prune({
      storage,
      source,
      keys,
      installation: config.installation,
      acceptChecksums: cipher === 'none',
      retention: { ...retention, days: longer(retention.days, retentionDays) },
      timeZone,
      unsound: (runs) => unsoundRuns(storage, keys, runs),
      underWay: (sealed) => runsUnderWay(storage, source, keys, sealed, clock()),
      now: clock(),
      signal,
      passed: (place) => call.passed(`prune:${place}`),
    })
    for (const { run, why } of pruned.removed) {
      logger.info(`Removed the backup ${run} from ${destination}: ${why}.`)
    }
    const { backups, segments, bytes, locked, denied, unswept } = pruned
    return {
      backups,
      segments,
      bytes,
      locked,
      ...(plan.refused === undefined ? {} : { refused: plan.refused }),
      ...(denied === undefined ? {} : { denied }),
      ...(unswept === undefined ? {} : { unswept }),
    }
  },
}

/** A request decides on every backup of the source: it may keep them longer, and not have them removed. */
function longer(configured: number | undefined, requested: number | undefined): number | undefined {
  if (configured === undefined || requested === undefined) return configured ?? requested
  return Math.max(configured, requested)
}
