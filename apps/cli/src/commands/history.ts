import { KeyRing } from '@securyflex/shared/keys'
import { recordAction } from '@securyflex/shared/queue'
import type { Command } from 'commander'
import { asker } from '../asker.ts'
import { configure } from '../configuration.ts'
import { rebuildHistory, type Rebuilt } from '../history.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { count } from '../output/written.ts'
import { withQueues } from '../queues.ts'

export function addHistory(program: Command): void {
  const history = program.command('history').description('look after the history of runs')
  history
    .command('rebuild')
    .description('after Redis lost its data: put the runs of the last 30 days back, from their reports')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['history rebuild', 'makes no backup, leaves alone what is there, and may be repeated'],
        ['status', 'shows what Redis alone had and has lost: pauses, waiting requests'],
      ),
    )
    .action(async (options: { json?: true }) => {
      const config = configure()
      const sources = await withQueues(config, async (queues) => {
        const rebuilt = await rebuildHistory(config, queues, new KeyRing(config.keys), new Date())
        const restored = rebuilt.reduce((sum, one) => sum + one.restored, 0)
        if (restored > 0) {
          const detail = `${count(restored, 'run')} from their reports`
          await recordAction(queues.redis, { by: asker(), what: 'rebuild', subject: 'the history', detail })
        }
        return rebuilt
      })
      if (options.json) printJson({ sources })
      else report(sources)
    })
}

function report(sources: readonly Rebuilt[]): void {
  for (const { source, restored, present, older, unfinished } of sources) {
    const rest = [
      ...(present === 0 ? [] : [`${String(present)} there already`]),
      ...(older === 0 ? [] : [`${String(older)} older than 30 days, in the reports only`]),
      ...(unfinished === 0 ? [] : [`${String(unfinished)} without an end, left to the producer`]),
    ]
    print(`${source}: ${[`${count(restored, 'run')} restored`, ...rest].join(', ')}`)
  }
  for (const { run, problem } of sources.flatMap(({ unreadable }) => unreadable)) {
    note(`The report of ${run} is left out: ${problem}`)
  }
  if (sources.length === 0) note('There is no source: set DATABASE_URL.')
  note('Not in reports, so not restored: pauses, who did what, requests that waited, and the steps of runs.')
  note('The producer sets the schedules again within a minute.')
}
