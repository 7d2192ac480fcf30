import { planDestination } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import type { Command } from 'commander'
import { resolve } from 'node:path'
import { save } from '../configuring/save.ts'
import { tellService } from '../configuring/tell-service.ts'
import { tryDestination } from '../configuring/try-destination.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { size } from '../output/written.ts'

interface Options {
  readonly directory: string
  readonly json?: true
}

export function addDestination(program: Command): void {
  program
    .command('destination')
    .description('add a place that backups go to')
    .command('add')
    .description('try a place, then write it to the configuration file')
    .argument('<name>', 'how it is called: letters, digits, “-” and “_”')
    .requiredOption('--directory <path>', 'where the repository is, or will be')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples([
        'destination add nas --directory /mnt/nas/backups',
        'from then on every source goes there too, unless it says otherwise',
      ]),
    )
    .action(async (name: string, { directory, json }: Options) => {
      const addition = planDestination(name, { kind: 'local', directory: resolve(directory) })
      const destination = addition.added.destinations.find((one) => one.name === name)
      if (destination === undefined) throw new BackupError('INTERNAL', 'The destination was not understood.')
      const { free } = await tryDestination(destination, { create: true })
      const files = await save(addition)
      const service = await tellService(addition.config)
      const { sources: own, groups } = addition.added
      const users = [...own, ...groups].filter(({ destinations }) => destinations.includes(name))
      if (json) {
        const sources = users.map((one) => one.name)
        printJson({
          destination: name,
          directory: destination.directory,
          free,
          files,
          sources,
          reloaded: service.told,
        })
        return
      }
      print(`${name} is added to ${files.join(' and ')}.`)
      note(`${destination.directory} can be written; ${size(free)} are free.`)
      if (users.length > 0)
        note(`Backups of these go there from now on: ${users.map((one) => one.name).join(', ')}.`)
      note(service.text)
    })
}
