import { planDestination } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import type { Command } from 'commander'
import { resolve } from 'node:path'
import { save } from '../configuring/save.ts'
import { tellService } from '../configuring/tell-service.ts'
import { type TriedDestination, tryDestination } from '../configuring/try-destination.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { size } from '../output/written.ts'

interface Options {
  readonly kind: string
  readonly directory?: string
  readonly set: readonly string[]
  readonly json?: true
}

export function addDestination(program: Command): void {
  program
    .command('destination')
    .description('add a place that backups go to')
    .command('add')
    .description('try a place, then write it to the configuration file')
    .argument('<name>', 'how it is called: letters, digits, “-” and “_”')
    .option('--kind <kind>', 'local, s3, azure or gcs', 'local')
    .option('--directory <path>', 'of a local one: where the repository is, or will be')
    .option(
      '--set <setting=value>',
      'another setting of docs/destinations.md; may be given several times',
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['destination add nas --directory /mnt/nas/backups', 'a directory'],
        [
          'destination add offsite --kind s3 --set bucket=company-backups --set region=eu-central-1',
          'from then on every source goes there too, unless it says otherwise',
        ],
        [
          "destination add cloud --kind azure --set container=backups --set connectionString='${AZURE}'",
          'secrets come from .env or the environment',
        ],
      ),
    )
    .action(async (name: string, options: Options) => {
      const addition = planDestination(name, settingsOf(options))
      const destination = addition.added.destinations.find((one) => one.name === name)
      if (destination === undefined) throw new BackupError('INTERNAL', 'The destination was not understood.')
      const tried = await tryDestination(destination, { create: true })
      const files = await save(addition)
      const service = await tellService(addition.config)
      const { sources: own, groups } = addition.added
      const users = [...own, ...groups].filter(({ destinations }) => destinations.includes(name))
      if (options.json) {
        const sources = users.map((one) => one.name)
        const { shown, free = null, remarks } = tried
        const directory = destination.kind === 'local' ? { directory: destination.directory } : {}
        const found = { shown, ...directory, free, remarks }
        printJson({ destination: name, ...found, files, sources, reloaded: service.told })
        return
      }
      print(`${name} is added to ${files.join(' and ')}.`)
      note(described(tried))
      if (users.length > 0)
        note(`Backups of these go there from now on: ${users.map((one) => one.name).join(', ')}.`)
      note(service.text)
    })
}

/** As the configuration file has them. */
function settingsOf({ kind, directory, set }: Options): Record<string, unknown> {
  const pairs = set.map((text): [string, string] => {
    const at = text.indexOf('=')
    if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
    throw new BackupError('USAGE', `“${text}” is not a setting with a value.`, {
      hint: 'Write for example --set bucket=company-backups',
    })
  })
  const settings: Record<string, unknown> = { kind }
  if (directory !== undefined) settings['directory'] = resolve(directory)
  for (const [path, value] of pairs) {
    const [key = '', inner] = path.split('.')
    settings[key] = inner === undefined ? value : { ...(settings[key] as object | undefined), [inner]: value }
  }
  return settings
}

function described({ shown, free, remarks }: TriedDestination): string {
  const room = free === undefined ? '' : `; ${size(free)} are free`
  const but = remarks.map((remark) => ` But ${remark}.`).join('')
  return `${shown} can be written, read and listed${room}.${but}`
}
