import { type Config, reloadOnHangup } from '@securyflex/shared/config'
import type { Logger } from '@securyflex/shared/logging'
import { countSegmentsWithHeap } from '@securyflex/shared/segments'
import { startWorker } from './worker.ts'

/**
 * Serves as a worker until `asked` says so; SIGHUP has it read its configuration again. Closes worker and log.
 * @throws as startWorker; SPOOL_UNUSABLE too if other workers have come to use another spool
 */
export async function serveUntil(asked: () => Promise<void>, config: Config, logger: Logger): Promise<void> {
  countSegmentsWithHeap()
  const worker = await startWorker(config, logger)
  reloadOnHangup(config, {
    apply: (changed) => worker.reload(changed),
    say: (level, text) => {
      logger[level](text)
    },
  })
  const lost = await Promise.race([asked(), worker.lost])
  await worker.close()
  await logger.close()
  if (lost !== undefined) throw lost
}
