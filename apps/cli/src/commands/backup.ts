import type { Command } from 'commander'
import { configureAloud } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { runBackup } from '../service/index.ts'

export function addBackup(program: Command): void {
  program
    .command('backup')
    .description('make a backup now and follow it to its end')
    .argument(
      '[source]',
      'name of the source, of a group, or of one of its databases; default: the configured one',
    )
    .option('--all', 'every source and group')
    .option('--json', 'print one JSON document at the end')
    .addHelpText(
      'after',
      examples([
        'backup',
        'through the running service; where none runs, it brings Redis and a worker itself',
      ]) +
        '\n\nThe same is: npm run backup. Settings given with it hold for this run:\n' +
        '  BACKUP_COMPRESSION=true BACKUP_ENCRYPTION=true npm run backup',
    )
    .action(async (source: string | undefined, { all, json }: { all?: true; json?: true }) => {
      process.exitCode = await runBackup(configureAloud('source'), { source, all, json })
    })
}
