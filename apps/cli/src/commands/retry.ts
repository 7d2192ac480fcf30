import { retryRun } from '@securyflex/shared/queue'
import type { Command } from 'commander'
import { asker } from '../asker.ts'
import { configure } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { print } from '../output/print.ts'
import { withQueues } from '../queues.ts'

export function addRetry(program: Command): void {
  program
    .command('retry')
    .description('have a failed run start over with a new dump')
    .argument('<run>', 'id of the run; status shows it')
    .addHelpText('after', examples(['retry shop.20261123T020000Z.3fa2', 'makes that backup after all']))
    .action(async (run: string) => {
      await withQueues(configure(), (queues) => retryRun(queues, run, asker()))
      print(`${run} starts over.`)
    })
}
