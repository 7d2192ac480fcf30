import { loadConfig, reloadOnHangup } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { startWorker } from '@securyflex/worker'

/**
 * A worker process that stops for good at the place named by its argument, the first time it passes there,
 * and says so to the process that started it. Without an argument it is an ordinary worker.
 */
const [place] = process.argv.slice(2)
const config = loadConfig({ needs: ['redis'] })
const logger = createLogger({ name: 'worker', directory: config.logs.directory, level: config.logs.level })
const worker = await startWorker(config, logger, {
  passed: (passed) => {
    if (passed !== place) return Promise.resolve()
    process.send?.({ at: place })
    return new Promise<never>(() => undefined)
  },
})
reloadOnHangup(config, {
  apply: (changed) => worker.reload(changed),
  say: (level, text) => {
    logger[level](text)
    process.send?.({ at: level === 'error' ? 'refused' : 'reloaded' })
  },
})
process.send?.({ at: 'ready' })
process.once('SIGTERM', () => {
  void worker
    .close()
    .then(() => logger.close())
    .then(() => {
      process.disconnect?.()
    })
})
