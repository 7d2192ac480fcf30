import { type Config, settingsOf } from '@securyflex/shared/config'
import { KeyRing } from '@securyflex/shared/keys'
import { makePrunePlan, prune, type PruneOptions, type PrunePlan } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { interruptible } from '../interruption.ts'
import { confirm } from '../output/confirm.ts'
import { examples, typed } from '../output/examples.ts'
import { columns, print, printJson } from '../output/print.ts'
import { count } from '../output/written.ts'
import { openRepositories, sourcesOf } from '../repositories.ts'

interface Flags {
  readonly dryRun?: true
  readonly yes?: true
  readonly json?: true
}

export function addPrune(program: Command): void {
  program
    .command('prune')
    .description('remove backups older than BACKUP_RETENTION_DAYS; runs do this by themselves')
    .argument('[source]', 'only of this source')
    .option('--dry-run', 'only show which would stay, which would go, and why')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document; without --dry-run it needs --yes')
    .addHelpText(
      'after',
      examples(
        ['prune --dry-run', 'shows the plan'],
        ['prune shop --yes', 'removes the old backups of shop'],
      ),
    )
    .action((source: string | undefined, flags: Flags) =>
      interruptible((signal) => pruneCommand(configure(), source, flags, signal)),
    )
}

/** One source at one destination, and what is to become of its backups. */
interface Planned {
  readonly options: PruneOptions
  readonly plan: PrunePlan
}

async function pruneCommand(
  config: Config,
  source: string | undefined,
  flags: Flags,
  signal: AbortSignal,
): Promise<void> {
  const planned = await makePlans(config, source, signal)
  const going = planned.flatMap(({ plan }) => plan.decisions.filter(({ keep }) => !keep))
  if (!flags.json) print(table(planned))
  if (flags.dryRun || (going.length === 0 && !flags.yes)) {
    if (flags.json) printJson({ removed: false, plans: planned.map(toJson) })
    else if (going.length === 0) print('Nothing is to be removed.')
    return
  }
  await confirm(`Remove ${count(going.length, 'backup')} for good?`, {
    yes: flags.yes ?? false,
    line: typed(`prune ${source === undefined ? '' : `${source} `}--yes`),
  })
  const done = []
  for (const { options } of planned) done.push(await prune(options))
  const [backups, segments] = [sum(done.map((one) => one.backups)), sum(done.map((one) => one.segments))]
  if (flags.json) printJson({ removed: true, backups, segments, plans: planned.map(toJson) })
  else
    print(`Removed ${count(backups, 'backup')} and ${count(segments, 'segment')} that no other backup needs.`)
}

async function makePlans(
  config: Config,
  source: string | undefined,
  signal: AbortSignal,
): Promise<Planned[]> {
  const storages = openRepositories(config)
  const planned: Planned[] = []
  for (const name of await sourcesOf(config, storages, source)) {
    for (const storage of storages) {
      const options = optionsOf(config, storage, name, signal)
      planned.push({ options, plan: await makePrunePlan(options) })
    }
  }
  return planned
}

function optionsOf(config: Config, storage: Storage, source: string, signal: AbortSignal): PruneOptions {
  const { cipher, retentionDays, retentionMinimum } = settingsOf(config, source)
  return {
    storage,
    source,
    keys: new KeyRing(config.keys),
    installation: config.installation,
    acceptChecksums: cipher === 'none',
    retentionDays,
    keepAtLeast: retentionMinimum,
    now: new Date(),
    signal,
  }
}

function table(planned: readonly Planned[]): string {
  const rows = planned.flatMap(({ options, plan }) =>
    plan.decisions.map(({ run, keep, why }) => [run, options.storage.name, keep ? 'stays' : 'goes', why]),
  )
  return columns([['backup', 'destination', '', 'because'], ...rows])
}

function toJson({ options, plan }: Planned): object {
  const { refused, decisions } = plan
  return { source: options.source, destination: options.storage.name, refused: refused ?? null, decisions }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
