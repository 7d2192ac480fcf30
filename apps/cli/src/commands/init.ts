import { planInstallation } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { generateKey } from '@securyflex/shared/keys'
import type { Command } from 'commander'
import { resolve } from 'node:path'
import { type Answers, askAnswers, keyIsSet } from '../configuring/answers.ts'
import { save } from '../configuring/save.ts'
import { tryDatabase } from '../configuring/try-database.ts'
import { tryDestination } from '../configuring/try-destination.ts'
import { aboutRole, tried } from '../configuring/words.ts'
import { examples, quoted, typed } from '../output/examples.ts'
import { confirm } from '../output/confirm.ts'
import { note, print, printJson } from '../output/print.ts'

interface Options extends Partial<Answers> {
  readonly yes?: true
  readonly json?: true
}

export function addInit(program: Command): void {
  program
    .command('init')
    .description(
      'make the first configuration: asks, tries the database, makes a key, writes .env and backup.config.yaml',
    )
    .option('--url <url>', 'the database, as a connection string')
    .option('--name <name>', 'under which its backups are kept; default: the database’s name')
    .option('--directory <path>', 'where backups, spool and logs are; default: ./backups')
    .option('--schedule <cron>', 'when backups are made; default: 0 2 * * *')
    .option('--time-zone <zone>', 'in which that is meant; default: this machine’s')
    .option('--plain', 'do not encrypt')
    .option('--yes', 'ask nothing: what is not given has its default')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['init', 'asks in a terminal'],
        [
          'init --url postgresql://backup:secret@db.example.com:5432/shop --yes',
          'asks nothing; never overwrites',
        ],
      ),
    )
    .action(async (options: Options) => {
      const answers = await askAnswers(options, options.yes === true)
      const encrypted = answers.plain !== true
      const key = encrypted && !keyIsSet() ? generateKey() : undefined
      const addition = planInstallation({
        url: answers.url,
        name: answers.name,
        home: resolve(answers.directory),
        key,
        defaults: {
          schedule: answers.schedule,
          timeZone: answers.timeZone,
          encryption: encrypted ? 'aes-256-gcm' : 'none',
        },
        settings: {},
      })
      const [source] = addition.added.sources
      const [destination] = addition.added.destinations
      if (source === undefined || destination === undefined)
        throw new BackupError('INTERNAL', 'The answers were not understood.')
      const outcome = await tryDatabase(source.connection, addition.added.pgBinDirectory)
      for (const line of [...tried(outcome), ...aboutRole(outcome)]) note(line)
      if (outcome.problem !== undefined) throw outcome.problem
      const { paths } = addition
      await confirm(
        `${source.name} (${source.connection.shown}) is written to ${paths.file} and ${paths.dotenv}. Go on?`,
        {
          yes: options.yes === true,
          line: typed(`init --url ${quoted(source.connection.shown)} --yes`),
        },
      )
      await tryDestination(destination, { create: true })
      const files = await save(addition)
      if (options.json) {
        const { problem: _, ...facts } = outcome
        printJson({ source: source.name, files, encrypted, keyMade: key !== undefined, ...facts })
        return
      }
      for (const file of files) print(`${file} is written.`)
      if (key !== undefined) {
        note(
          'BACKUP_ENCRYPTION_KEY in .env was made now. Keep a copy of it away from this machine and the backups:',
        )
        note('without the key nobody can restore them, and nobody can make it again.')
      }
      note(`Try it: npm run backup. See what is planned: ${typed('config check')}. By the clock: npm start`)
    })
}
