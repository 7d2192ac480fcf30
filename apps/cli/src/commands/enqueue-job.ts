import type { Config } from '@securyflex/shared/config'
import { checkUsable, type Requested } from '@securyflex/shared/queue'
import type { Command } from 'commander'
import { askForRun } from '../asking.ts'
import { configure } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { unservedQueues, withQueues } from '../queues.ts'
import { resolveRedis } from '../service/index.ts'
import { oneWanted, type Wanted } from '../wanted.ts'

export function addEnqueueJob(program: Command): void {
  program
    .command('enqueue-job')
    .description('ask the running service for a backup now; prints the run’s id')
    .argument(
      '<source>',
      'name of the source, by default that of its database; of a group, or of one of its databases',
    )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['enqueue-job shop', 'asks for a backup of shop; prints e.g. shop.20261123T020000Z.3fa2'],
        ['status', 'shows what became of it'],
      ),
    )
    .action(async (source: string, options: { json?: true }) => {
      const config = configure()
      const { run, accepted } = await enqueue(config, await oneWanted(config, source))
      if (options.json) printJson({ run, accepted })
      else print(run)
    })
}

/**
 * Asks for a run and says on standard error what a person should know about it.
 * @throws SOURCE_PAUSED, REDIS_UNREACHABLE
 */
export async function enqueue(config: Config, wanted: Wanted): Promise<Requested> {
  const { name: source } = wanted
  await checkUsable(await resolveRedis(config))
  return withQueues(config, async (queues) => {
    const requested = await askForRun(config, queues, wanted)
    if (requested.again) note(`A run of ${source} is under way; one more follows it.`)
    else if (!requested.accepted) note(`A run of ${source} is under way; this request is recorded with it.`)
    const unserved = await unservedQueues(queues, config)
    if (unserved.length > 0) {
      note(`No worker serves ${unserved.join(', ')}: the run waits until one is started with: npm start`)
    }
    return requested
  })
}
