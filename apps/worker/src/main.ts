import { loadConfig, reloadOnHangup } from '@securyflex/shared/config'
import { asBackupError, describe } from '@securyflex/shared/errors'
import { createLogger } from '@securyflex/shared/logging'
import { startWorker } from './worker.ts'

/** The worker as a process of its own: serves until SIGINT or SIGTERM; SIGHUP has it read its configuration again. */
async function main(): Promise<void> {
  const config = loadConfig({ needs: ['redis'] })
  const logger = createLogger({ name: 'worker', directory: config.logs.directory, level: config.logs.level })
  const worker = await startWorker(config, logger)
  reloadOnHangup(config, {
    apply: (changed) => worker.reload(changed),
    say: (level, text) => {
      logger[level](text)
    },
  })
  await new Promise((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
  await worker.close()
  await logger.close()
}

main().catch((error: unknown) => {
  process.stderr.write(`${describe(error)}\n`)
  process.exitCode = asBackupError(error).exitStatus
})
