import type { Command } from 'commander'
import { configureAloud } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { startService } from '../service/index.ts'

export function addStart(program: Command): void {
  program
    .command('start')
    .description(
      'run the service in this terminal: Redis unless REDIS_URL is set, producer, worker, dashboard',
    )
    .addHelpText('after', examples(['start', 'until Ctrl-C; the same as npm start']))
    .action(async () => {
      process.exitCode = await startService(configureAloud())
    })
}
