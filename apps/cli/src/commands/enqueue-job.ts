import { userInfo } from 'node:os'
import { type Config, requireSource } from '@securyflex/shared/config'
import { type Requested, requestRun } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { unservedQueues, withQueues } from '../queues.ts'

export function addEnqueueJob(program: Command): void {
  program
    .command('enqueue-job')
    .description('ask the running service for a backup now; prints the run’s id')
    .argument('<source>', 'name of the source, by default that of its database')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['enqueue-job shop', 'asks for a backup of shop; prints e.g. shop.20261123T020000Z.3fa2'],
        ['status', 'shows what became of it'],
      ),
    )
    .action(async (source: string, options: { json?: true }) => {
      const { run, accepted } = await enqueue(configure(), source)
      if (options.json) printJson({ run, accepted })
      else print(run)
    })
}

/**
 * Asks for a run and says on standard error what a person should know about it.
 * @throws SOURCE_UNKNOWN, REDIS_UNREACHABLE
 */
export async function enqueue(config: Config, name: string | undefined): Promise<Requested> {
  const source = requireSource(config, name).name
  return withQueues(config, async (queues) => {
    const now = new Date()
    const requested = await requestRun(queues, newRunId(source, now), {
      v: 1,
      source,
      requestedBy: `command line (${userName()})`,
      requestedAt: now.toISOString(),
      options: config.requested,
    })
    if (!requested.accepted) note(`A run of ${source} is under way; this request is recorded with it.`)
    const unserved = await unservedQueues(queues, config)
    if (unserved.length > 0) {
      note(`No worker serves ${unserved.join(', ')}: the run waits until one is started with: npm start`)
    }
    return requested
  })
}

/** In a container the process's user may have no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return `user ${String(process.getuid?.() ?? '')}`
    throw error
  }
}
