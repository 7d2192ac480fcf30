import { settingsOf } from '@securyflex/shared/config'
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
    const { cipher, retentionMinimum } = settingsOf(config, source)
    const { plan, backups, segments } = await prune({
      storage,
      source,
      keys,
      installation: config.installation,
      acceptChecksums: cipher === 'none',
      retentionDays,
      keepAtLeast: retentionMinimum,
      now: clock(),
      signal,
    })
    for (const { run, why } of plan.decisions.filter(({ keep }) => !keep)) {
      logger.info(`Removed the backup ${run} from ${destination}: ${why}.`)
    }
    return plan.refused === undefined ? { backups, segments } : { backups, segments, refused: plan.refused }
  },
}
