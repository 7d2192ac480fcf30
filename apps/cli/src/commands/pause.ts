import { endPauses, pause, pausedError, pauseOf, pauseSubject, shownSubject } from '@securyflex/shared/queue'
import type { Command } from 'commander'
import { asker } from '../asker.ts'
import { configure } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { note, print } from '../output/print.ts'
import { withQueues } from '../queues.ts'

export function addPause(program: Command): void {
  program
    .command('pause')
    .description('ask for no more backups of a source, or of any, until resume; runs under way go on')
    .argument('[source]', 'name of a source or group; default: everything')
    .addHelpText(
      'after',
      examples(
        ['pause shop', 'skips the schedule of shop and refuses requests for it'],
        ['pause', 'the same for everything'],
      ),
    )
    .action(async (source: string | undefined) => {
      const config = configure()
      await withQueues(config, async (queues) => {
        const subject = await pauseSubject(queues, config, source)
        const isNew = await pause(queues.redis, subject, asker(), new Date())
        print(`Backups of ${shownSubject(subject)} are ${isNew ? 'paused' : 'paused already'}.`)
        note(`To have them made again, type: npx --no securyflex-backup resume ${source ?? ''}`.trim())
      })
    })
}

export function addResume(program: Command): void {
  program
    .command('resume')
    .description('have backups of a paused source made again')
    .argument('[source]', 'name of the source or group; default: everything, whatever was paused')
    .addHelpText('after', examples(['resume shop', 'ends the pause of shop'], ['resume', 'ends every pause']))
    .action(async (source: string | undefined) => {
      const config = configure()
      await withQueues(config, async (queues) => {
        const ended = await endPauses(queues, config, source, asker())
        for (const subject of ended) print(`Backups of ${shownSubject(subject)} are made again.`)
        if (ended.length === 0)
          print(source === undefined ? 'Nothing was paused.' : `${source} was not paused itself.`)
        const holds = source === undefined ? undefined : await pauseOf(queues.redis, source)
        if (source !== undefined && holds !== undefined) {
          const { message, hint = '' } = pausedError(source, holds)
          note(`${message} ${hint}`)
        }
      })
    })
}
