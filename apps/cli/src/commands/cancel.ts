import { BackupError } from '@securyflex/shared/errors'
import { cancelRun, type Queues } from '@securyflex/shared/queue'
import type { Command } from 'commander'
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
      await withQueues(configure(), async (queues) => {
        await refuseEnded(queues, run)
        await cancelRun(queues.redis, run)
      })
      print(`${run} is being cancelled.`)
    })
}

async function refuseEnded(queues: Queues, run: string): Promise<void> {
  const job = await queues.get('run').getJob(run)
  const state = await job?.getState()
  if (state !== undefined && state !== 'completed' && state !== 'failed') return
  const what =
    state === undefined ? `There is no run ${run} in the queue.` : `The run ${run} has ended already.`
  throw new BackupError('BACKUP_NOT_FOUND', what, {
    hint: 'See the runs that are under way with: npm run backup:status',
  })
}
