import { askCancel } from '@securyflex/shared/queue'
import type { Command } from 'commander'
import { asker } from '../asker.ts'
import { configure } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { print } from '../output/print.ts'
import { withQueues } from '../queues.ts'

export function addCancel(program: Command): void {
  program
    .command('cancel')
    .description('stop a run that waits or is under way; its tools are killed, nothing of it is kept')
    .argument('<run>', 'id of the run; status shows it')
    .addHelpText('after', examples(['cancel shop.20261123T020000Z.3fa2', 'stops that run']))
    .action(async (run: string) => {
      await withQueues(configure(), (queues) => askCancel(queues, run, asker()))
      print(`${run} is being cancelled.`)
    })
}
