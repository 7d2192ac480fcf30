import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { untilInterrupted } from '../interruption.ts'
import { examples } from '../output/examples.ts'
import { resolveRedis } from '../service/index.ts'

export function addDashboard(program: Command): void {
  program
    .command('dashboard')
    .description('run the dashboard alone: the queues in a browser')
    .addHelpText(
      'after',
      examples(['dashboard', 'until Ctrl-C; DASHBOARD_HOST and DASHBOARD_PORT say where']),
    )
    .action(async () => {
      const config = configure()
      const { serveDashboard } = await import('@securyflex/dashboard')
      await serveDashboard(config, untilInterrupted(), { redis: await resolveRedis(config) })
    })
}
