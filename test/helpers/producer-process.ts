import { loadConfig, reloadOnHangup } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { startProducer } from '@securyflex/producer'

/** A producer process that looks after runs and schedules every half second instead of every minute. */
const config = loadConfig({ needs: ['redis'] })
const logger = createLogger({ name: 'producer', directory: config.logs.directory, level: config.logs.level })
const producer = await startProducer(config, logger, { interval: 500 })
reloadOnHangup(config, {
  apply: (changed) => producer.reload(changed),
  say: (level, text) => {
    logger[level](text)
    process.send?.({ at: level === 'error' ? 'refused' : 'reloaded' })
  },
})
process.send?.({ at: 'ready' })
process.once('SIGTERM', () => {
  void producer
    .close()
    .then(() => logger.close())
    .then(() => {
      process.disconnect?.()
    })
})
