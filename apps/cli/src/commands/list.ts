import { KeyRing } from '@securyflex/shared/keys'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { type ListedBackup, listBackups } from '../listing.ts'
import { examples } from '../output/examples.ts'
import { throwAll } from '../output/report-error.ts'
import { columns, note, print, printJson } from '../output/print.ts'
import { inZone, size } from '../output/written.ts'
import { answeringRepositories, sourcesOf } from '../repositories.ts'

export function addList(program: Command): void {
  program
    .command('list')
    .description('list the backups, newest first, also those that cannot be read')
    .argument('[source]', 'only of this source')
    .option('--destination <name>', 'only what is there')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(['list', 'all backups'], ['list shop --json', 'those of shop, for a program']),
    )
    .action(async (source: string | undefined, options: { destination?: string; json?: true }) => {
      const config = configure()
      const storages = await answeringRepositories(config, options.destination)
      const sources = await sourcesOf(config, storages, source)
      const { backups, problems } = await listBackups(storages, sources, new KeyRing(config.keys))
      if (options.json) printJson({ backups })
      else if (backups.length > 0) print(table(backups, config.defaults.timeZone))
      else note(`There is no backup in ${storages.map(({ shown }) => shown).join(', ')}.`)
      throwAll(problems)
    })
}

function table(backups: readonly ListedBackup[], timeZone: string): string {
  const rows = backups.map((backup) => [
    backup.run,
    inZone(new Date(backup.time), timeZone),
    backup.bytes === null ? '?' : size(backup.bytes),
    backup.stored === null ? '?' : size(backup.stored),
    backup.cipher ?? '?',
    backup.destination,
    [
      backup.state,
      ...(backup.incomplete === true ? ['incomplete'] : []),
      ...(backup.partial ? ['partial'] : []),
      ...(backup.kept === null ? [] : ['kept']),
    ].join(', '),
  ])
  const problems = backups.flatMap(({ run, problem }) => (problem === null ? [] : [`\n${run}: ${problem}`]))
  return (
    columns([['backup', timeZone, 'size', 'stored', 'encrypted', 'destination', 'state'], ...rows]) +
    problems.join('')
  )
}
