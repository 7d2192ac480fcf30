import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { nextTimes } from '@securyflex/shared/schedule'
import { type Command } from 'commander'
import { configure } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { moment } from '../output/written.ts'
import { oneWanted, type Wanted } from '../wanted.ts'
import { enqueue } from './enqueue-job.ts'

export function addSchedule(program: Command): void {
  program
    .command('schedule')
    .description('ask the running service for a backup now, and say when the schedule makes the next one')
    .argument('<what>', '“backup”')
    .option('--source <name>', 'which source; default: the configured one')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples(['schedule backup', 'the same as npm run backup:schedule backup']))
    .action(async (what: string, options: { source?: string; json?: true }) => {
      if (what !== 'backup') {
        throw new BackupError('USAGE', `“${what}” cannot be scheduled; only “backup” can.`, {
          hint: 'Type: npm run backup:schedule backup',
        })
      }
      const config = configure()
      const wanted = await oneWanted(config, options.source)
      const { run, accepted } = await enqueue(config, wanted)
      if (options.json) printJson({ run, accepted })
      else print(run)
      note(whatComes(config, wanted))
    })
}

function whatComes({ scheduleEnabled }: Config, { name, settings }: Wanted): string {
  const [next] = nextTimes(name, settings, new Date(), 1)
  if (!scheduleEnabled)
    return 'The schedule is off (BACKUP_SCHEDULE_ENABLED=false): this run is all there is.'
  if (next === undefined) return `${name} has no schedule: this run is all there is.`
  const { at, schedule } = next
  return `While the service runs, the schedule “${schedule.cron}” asks for the next one at ${moment(at, settings.timeZone)}.`
}
