import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import {
  checkCopy,
  type Checked,
  type Copied,
  copyBackup,
  describeFate,
  type Finding,
  listRuns,
  parseRunId,
} from '@securyflex/shared/repository'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { interruptible } from '../interruption.ts'
import { examples } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { type Progress, showProgress } from '../output/progress.ts'
import { count, size } from '../output/written.ts'
import { answeringRepositories, lineOf, oneSource, openRepositories } from '../repositories.ts'

/** Bad segments that are told one by one. */
const mostShown = 20

interface Flags {
  readonly from?: string
  readonly to: string
  readonly source?: string
  readonly json?: true
}

export function addCopy(program: Command): void {
  program
    .command('copy')
    .description('bring a backup to a destination that lacks it, from one that has it')
    .argument('<backup>', '“latest” or a run’s id')
    .requiredOption('--to <destination>', 'where it is lacking')
    .option('--from <destination>', 'where it is; default: the first one that has it')
    .option('--source <name>', 'whose latest; needed if there are several sources')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['copy latest --to offsite', 'the newest backup, after offsite was away'],
        ['copy shop.20261123T020000Z.3fa2 --from local --to offsite', 'that one'],
      ),
    )
    .action(async (backup: string, flags: Flags) => {
      const { run, from, copied, checked } = await interruptible((signal) =>
        copyCommand(configure(), backup, flags, signal),
      )
      if (flags.json) printJson({ run, from, to: flags.to, ...copied, checked })
      else print(sentence(run, from, flags.to, copied))
    })
}

function sentence(run: string, from: string, to: string, { fresh, segments, bytes }: Copied): string {
  if (!fresh) return `${run} is at ${to} already, and is good.`
  return `${run} is at ${to} now, and is good: ${count(segments, 'segment')} (${size(bytes)}) came from ${from}, the rest was there.`
}

interface Came {
  readonly run: string
  readonly from: string
  readonly copied: Copied
  readonly checked: Checked
}

async function copyCommand(config: Config, backup: string, flags: Flags, signal: AbortSignal): Promise<Came> {
  const keys = new KeyRing(config.keys)
  const to = await openNamed(config, flags.to, '--to')
  const wanted = flags.from === undefined ? undefined : await openNamed(config, flags.from, '--from')
  if (flags.from === flags.to) {
    throw new BackupError('USAGE', `${flags.to} is both where it is and where it is to be.`, {
      hint: 'Name another destination with --to.',
    })
  }
  const others = wanted === undefined ? await othersThan(config, flags.to) : [wanted]
  const { from, run, source } = await find(config, backup, flags.source, others)
  let progress: Progress | undefined
  try {
    const common = { to, source, run, keys, installation: config.installation, now: new Date(), signal }
    const copied = await copyBackup({
      ...{ ...common, from },
      onBytes: (done, total) => {
        progress ??= showProgress(`Copying ${run}`, total)
        progress.update(done)
      },
    })
    const checked = await checkCopy({
      ...common,
      others: openRepositories(config).filter(({ name }) => name !== to.name),
      onScrubbed: ({ findings }) => {
        noteFindings(to.name, findings)
      },
    })
    return { run, from: from.name, copied, checked }
  } finally {
    progress?.end()
  }
}

/** What was bad at the destination before, or became so on the way. */
function noteFindings(to: string, findings: readonly Finding[]): void {
  for (const finding of findings.slice(0, mostShown))
    note(`${finding.name} at ${to} is ${finding.what}: ${describeFate(finding)}.`)
  if (findings.length > mostShown) note(`… and ${String(findings.length - mostShown)} more.`)
}

/** @throws USAGE for a destination that does not exist */
async function openNamed(config: Config, name: string, option: string): Promise<Storage> {
  const destination = config.destinations.find((one) => one.name === name)
  if (destination !== undefined) return openStorage(destination, lineOf(destination))
  throw new BackupError('USAGE', `There is no destination “${name}”.`, {
    hint: `Write one of: ${config.destinations.map((one) => `${option} ${one.name}`).join(', ')}.`,
  })
}

async function othersThan(config: Config, to: string): Promise<Storage[]> {
  const destinations = config.destinations.filter(({ name }) => name !== to)
  return destinations.length === 0 ? [] : answeringRepositories({ ...config, destinations })
}

async function find(
  config: Config,
  backup: string,
  named: string | undefined,
  storages: readonly Storage[],
): Promise<{ from: Storage; run: string; source: string }> {
  const source = backup === 'latest' ? await oneSource(config, storages, named) : parseRunId(backup)?.source
  if (source === undefined) throw notFound(backup, storages)
  const runs = await Promise.all(storages.map((storage) => listRuns(storage, source)))
  const run = backup === 'latest' ? runs.flat().sort().at(-1) : backup
  const from = storages.find((_, at) => runs[at]?.includes(run ?? ''))
  if (run === undefined || from === undefined) throw notFound(backup, storages)
  return { from, run, source }
}

function notFound(backup: string, storages: readonly Storage[]): BackupError {
  const where = storages.map(({ shown }) => shown).join(', ')
  const what = backup === 'latest' ? 'There is no backup' : `There is no backup “${backup}”`
  const place = where === '' ? 'anywhere else' : `in ${where}`
  return new BackupError('BACKUP_NOT_FOUND', `${what} ${place}.`, {
    hint: 'See what there is with: npx --no securyflex-backup list',
  })
}
