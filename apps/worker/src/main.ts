import { loadConfig } from '@securyflex/shared/config'
import { asBackupError, describe } from '@securyflex/shared/errors'
import { createLogger } from '@securyflex/shared/logging'
import { serveUntil } from './serve-until.ts'

/** The worker as a process of its own: serves until SIGINT or SIGTERM. */
async function main(): Promise<void> {
  const config = loadConfig({ needs: ['redis'] })
  const logger = createLogger({ name: 'worker', directory: config.logs.directory, level: config.logs.level })
  await serveUntil(untilInterrupted, config, logger)
}

async function untilInterrupted(): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'])
      process.once(signal, () => {
        resolve()
      })
  })
}

main().catch((error: unknown) => {
  process.stderr.write(`${describe(error)}\n`)
  process.exitCode = asBackupError(error).exitStatus
})
