import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { findReports } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { adoptRepository, listSources, readInstallation } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import type { Command } from 'commander'
import { asker } from '../asker.ts'
import { writeDown } from '../audit.ts'
import { configure } from '../configuration.ts'
import { confirm } from '../output/confirm.ts'
import { examples, quoted, typed } from '../output/examples.ts'
import { print, printJson } from '../output/print.ts'
import { inZone } from '../output/written.ts'
import { openNamed } from '../repositories.ts'

interface Flags {
  readonly destination?: string
  readonly yes?: true
  readonly json?: true
}

export function addAdopt(program: Command): void {
  program
    .command('adopt')
    .description('take a repository over from another installation, to write to it and to prune it')
    .option('--destination <name>', 'only there; default: every destination that has a repository')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document; it needs --yes')
    .addHelpText('after', examples(['adopt', 'shows whose the repositories are, and asks']))
    .action((flags: Flags) => adoptCommand(configure(), flags))
}

/** A repository of another installation. */
interface Foreign {
  readonly storage: Storage
  readonly owner: string
  /** When it last began a run that it reported here. */
  readonly lastRun: Date | undefined
}

async function adoptCommand(config: Config, flags: Flags): Promise<void> {
  const { installation } = config
  if (installation === undefined) {
    throw new BackupError('CONFIG_INVALID', 'This installation has no name under which it could adopt.', {
      hint: 'Set for example BACKUP_INSTALLATION=amsterdam-2. Listing and restoring need no adoption.',
    })
  }
  const keys = new KeyRing(config.keys)
  const foreign: Foreign[] = []
  for (const storage of openNamed(config, flags.destination)) {
    const owner = await readInstallation(storage)
    if (owner === undefined || owner === installation) continue
    foreign.push({ storage, owner, lastRun: await lastRunIn(storage, keys) })
  }
  if (!flags.json) for (const one of foreign) print(sentence(one, config.defaults.timeZone))
  if (foreign.length > 0) {
    const destination = flags.destination === undefined ? '' : ` --destination ${quoted(flags.destination)}`
    await confirm(`Make them ${installation}’s? The installation before is refused there from then on.`, {
      yes: flags.yes ?? false,
      line: typed(`adopt${destination} --yes`),
    })
  }
  const adopted = []
  for (const { storage, owner } of foreign) {
    await adoptRepository(storage, keys, { installation, by: asker(), now: new Date() })
    await writeDown(config, { what: 'adopt', subject: storage.name, detail: `from ${owner}` })
    adopted.push({ destination: storage.name, from: owner, installation })
  }
  if (flags.json) printJson({ adopted })
  else if (adopted.length === 0) print('There is nothing to adopt: no repository is another installation’s.')
  else print(`${adopted.map(({ destination }) => destination).join(', ')} is ${installation}’s now.`)
}

async function lastRunIn(storage: Storage, keys: KeyRing): Promise<Date | undefined> {
  const times: number[] = []
  for (const source of await listSources(storage)) {
    for await (const { report } of findReports(storage, source, keys, 1)) {
      if (report !== undefined) times.push(Date.parse(report.startedAt))
    }
  }
  return times.length === 0 ? undefined : new Date(Math.max(...times))
}

function sentence({ storage, owner, lastRun }: Foreign, timeZone: string): string {
  const last =
    lastRun === undefined ? 'no run is known' : `its last run began at ${inZone(lastRun, timeZone)}`
  return `The repository at ${storage.name} (${storage.shown}) belongs to ${owner}; ${last}.`
}
