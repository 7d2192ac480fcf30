import { reloadOnHangup } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import type { Command } from 'commander'
import { configureAloud } from '../configuration.ts'
import { untilInterrupted } from '../interruption.ts'
import { examples } from '../output/examples.ts'
import { unservedQueues, withQueues } from '../queues.ts'
import { resolveRedis } from '../service/index.ts'

export function addProducer(program: Command): void {
  program
    .command('producer')
    .description('run the producer alone: it keeps the schedules and looks after runs')
    .addHelpText('after', examples(['producer', 'until Ctrl-C; REDIS_URL says where the queues are']))
    .action(async () => {
      const configured = configureAloud()
      const config = { ...configured, redis: await resolveRedis(configured) }
      const logger = createLogger({ name: 'producer', ...config.logs })
      const unserved = await withQueues(config, (queues) => unservedQueues(queues, config))
      if (unserved.length > 0) {
        logger.warn(
          `No worker serves ${unserved.join(', ')}: start one with npx --no securyflex-backup worker`,
        )
      }
      // The applications are big, and most commands need none of them.
      const { startProducer } = await import('@securyflex/producer')
      await using producer = await startProducer(config, logger)
      reloadOnHangup(config, {
        apply: (changed) => producer.reload(changed),
        say: (level, text) => {
          logger[level](text)
        },
      })
      await untilInterrupted()
      await logger.close()
    })
}
