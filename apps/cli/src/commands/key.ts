import { generateKey } from '@securyflex/shared/keys'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { checkKeys } from '../key-check.ts'
import { examples } from '../output/examples.ts'
import { columns, note, print, printJson } from '../output/print.ts'

export function addKey(program: Command): void {
  const key = program.command('key').description('make an encryption key, or check the one that is set')
  key
    .command('generate')
    .description('print a new key; nothing is stored')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['key generate', 'prints 64 hex digits'],
        ['key generate > backup.key', 'writes it to a file, for BACKUP_ENCRYPTION_KEY_FILE=backup.key'],
      ),
    )
    .action((options: { json?: true }) => {
      const made = generateKey()
      if (options.json) printJson({ key: made })
      else print(made)
      note(
        'Set it as BACKUP_ENCRYPTION_KEY, with BACKUP_ENCRYPTION=true, and keep a copy away from the backups:',
      )
      note('without the key nobody can restore them, and nobody can make it again.')
    })
  key
    .command('check')
    .description('tell whether the configured key opens what is stored at each destination')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples(['key check', 'exit status 7 if a key is missing, weak or wrong']))
    .action(async (options: { json?: true }) => {
      const { records, problem } = await checkKeys(configure())
      if (options.json) printJson({ records, problem: problem?.message ?? null })
      else if (records.length > 0) {
        print(
          columns([
            ['destination', 'key record', 'created', 'opened by'],
            ...records.map((record) => [record.destination, record.id, record.created, record.openedBy]),
          ]),
        )
      } else print('Nothing is stored under a key yet.')
      if (problem !== undefined) throw problem
    })
}
