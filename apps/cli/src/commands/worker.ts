import { createLogger } from '@securyflex/shared/logging'
import type { Command } from 'commander'
import { configureAloud } from '../configuration.ts'
import { untilInterrupted } from '../interruption.ts'
import { examples } from '../output/examples.ts'
import { resolveRedis } from '../service/index.ts'

export function addWorker(program: Command): void {
  program
    .command('worker')
    .description('run a worker alone: it does the steps of runs')
    .addHelpText('after', examples(['worker', 'until Ctrl-C; REDIS_URL says where the queues are']))
    .action(async () => {
      const configured = configureAloud('key')
      const config = { ...configured, redis: await resolveRedis(configured) }
      const logger = createLogger({ name: 'worker', ...config.logs })
      const { serveUntil } = await import('@securyflex/worker')
      await serveUntil(untilInterrupted, config, logger)
    })
}
