import { loadConfig, reloadOnHangup } from '@securyflex/shared/config'
import { asBackupError, describe } from '@securyflex/shared/errors'
import { createLogger } from '@securyflex/shared/logging'
import { startProducer } from './producer.ts'

/** The producer as a process of its own: runs until SIGINT or SIGTERM; SIGHUP has it read its configuration again. */
async function main(): Promise<void> {
  const config = loadConfig({ needs: ['redis'] })
  const logger = createLogger({
    name: 'producer',
    directory: config.logs.directory,
    level: config.logs.level,
  })
  const producer = await startProducer(config, logger)
  reloadOnHangup(config, {
    apply: (changed) => producer.reload(changed),
    say: (level, text) => {
      logger[level](text)
    },
  })
  await new Promise((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
  await producer.close()
  await logger.close()
}

main().catch((error: unknown) => {
  process.stderr.write(`${describe(error)}\n`)
  process.exitCode = asBackupError(error).exitStatus
})
