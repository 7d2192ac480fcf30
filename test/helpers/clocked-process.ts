import { shiftClock } from './shifted-clock.ts'

/**
 * A worker or a producer, as its first argument says, whose clock begins at the time of the second and is set by
 * whoever started it. The clock is put in before anything else is loaded: BullMQ asks `Date` for the time, too.
 */
const [serve, begin = ''] = process.argv.slice(2)
const clock = shiftClock(Date.parse(begin) - Date.now())
const { loadConfig } = await import('@securyflex/shared/config')
const { createLogger } = await import('@securyflex/shared/logging')

const config = loadConfig({ needs: ['redis'] })
const logger = createLogger({ name: serve ?? '', directory: config.logs.directory, level: config.logs.level })
const served =
  serve === 'worker'
    ? await (await import('@securyflex/worker')).startWorker(config, logger)
    : await (await import('@securyflex/producer')).startProducer(config, logger, { interval: 300 })
process.on('message', ({ now }: { now: string }) => {
  clock.to(new Date(now))
  process.send?.({ at: 'set' })
})
process.send?.({ at: 'ready' })
process.once('SIGTERM', () => {
  void served
    .close()
    .then(() => logger.close())
    .then(() => {
      process.disconnect?.()
    })
})
