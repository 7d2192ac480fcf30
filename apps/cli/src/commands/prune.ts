import { type Config, settingsOf } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import { runsUnderWay, unsoundRuns } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import {
  makePrunePlan,
  prune,
  type Pruned,
  type PruneOptions,
  type PrunePlan,
  type PruneWeight,
  weighPrune,
} from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import type { Command } from 'commander'
import { writeDown } from '../audit.ts'
import { configure } from '../configuration.ts'
import { interruptible } from '../interruption.ts'
import { confirm } from '../output/confirm.ts'
import { examples, quoted, typed } from '../output/examples.ts'
import { columns, note, print, printJson } from '../output/print.ts'
import { throwAll } from '../output/report-error.ts'
import { count, size } from '../output/written.ts'
import { openNamed, sourcesOf } from '../repositories.ts'

interface Flags {
  readonly destination?: string
  readonly dryRun?: true
  readonly yes?: true
  readonly json?: true
}

export function addPrune(program: Command): void {
  program
    .command('prune')
    .description('remove the backups that no rule of retention keeps; runs do this by themselves')
    .argument('[source]', 'only of this source')
    .option('--destination <name>', 'only there')
    .option('--dry-run', 'only show which would stay, which would go, why, and what that frees')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document; without --dry-run it needs --yes')
    .addHelpText(
      'after',
      examples(
        ['prune --dry-run', 'shows the plan'],
        ['prune shop --destination local --yes', 'removes the old backups of shop there'],
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
  readonly weight: PruneWeight
}

/** @throws what was wrong with a destination, after all others were pruned and told */
async function pruneCommand(
  config: Config,
  source: string | undefined,
  flags: Flags,
  signal: AbortSignal,
): Promise<void> {
  const { planned, problems } = await makePlans(config, source, flags.destination, signal)
  if (planned.length > 0 || problems.length === 0) {
    for (const { message } of problems) note(`Left alone: ${message}`)
    await carryOut(config, planned, source, flags)
  }
  throwAll(problems)
}

async function carryOut(
  config: Config,
  planned: readonly Planned[],
  source: string | undefined,
  flags: Flags,
): Promise<void> {
  const going = planned.flatMap(({ plan }) => plan.decisions.filter(({ keep }) => !keep))
  if (!flags.json) show(planned)
  if (flags.dryRun || (going.length === 0 && !flags.yes)) {
    if (flags.json) printJson({ removed: false, plans: planned.map(toJson) })
    else if (going.length === 0) print('No backup is to be removed.')
    return
  }
  await confirm(`Remove ${count(going.length, 'backup')} for good?`, {
    yes: flags.yes ?? false,
    line: typed(lineOf(source, flags)),
  })
  const done: Done[] = []
  for (const one of planned) {
    // Only what was shown may go: what has grown old meanwhile is another day's.
    const shown = one.plan.decisions.flatMap(({ run, keep }) => (keep ? [] : [run]))
    const pruned = await prune(one.options, new Set(shown))
    done.push({ ...one, pruned })
    await writeDownPruned(config, one.options, pruned)
  }
  report(done, flags)
}

const lineOf = (source: string | undefined, { destination }: Flags) =>
  [
    'prune',
    ...(source === undefined ? [] : [quoted(source)]),
    ...(destination === undefined ? [] : ['--destination', quoted(destination)]),
    '--yes',
  ].join(' ')

async function makePlans(
  config: Config,
  source: string | undefined,
  destination: string | undefined,
  signal: AbortSignal,
): Promise<{ planned: readonly Planned[]; problems: readonly BackupError[] }> {
  const storages = openNamed(config, destination)
  const planned: Planned[] = []
  // What is wrong with a whole repository is so for each source.
  const problems = new Map<string, BackupError>()
  for (const name of await sourcesOf(config, storages, source)) {
    for (const storage of storages) {
      try {
        const options = optionsOf(config, storage, name, signal)
        const plan = await makePrunePlan(options)
        planned.push({ options, plan, weight: await weighPrune(options, plan) })
      } catch (error) {
        signal.throwIfAborted()
        const problem = asBackupError(error)
        problems.set(problem.message, problem)
      }
    }
  }
  return { planned, problems: [...problems.values()] }
}

function optionsOf(config: Config, storage: Storage, source: string, signal: AbortSignal): PruneOptions {
  const { cipher, retention, timeZone } = settingsOf(config, source)
  const keys = new KeyRing(config.keys)
  return {
    storage,
    source,
    keys,
    installation: config.installation,
    acceptChecksums: cipher === 'none',
    retention,
    timeZone,
    unsound: (runs) => unsoundRuns(storage, keys, runs),
    underWay: (sealed) => runsUnderWay(storage, source, keys, sealed, new Date()),
    now: new Date(),
    signal,
  }
}

function show(planned: readonly Planned[]): void {
  const rows = planned.flatMap(({ options, plan, weight }) =>
    plan.decisions.map(({ run, keep, why }) => {
      const freed = weight.backups.get(run)
      const frees = keep ? '' : freed === undefined ? '?' : size(freed)
      return [run, options.storage.name, keep ? 'stays' : 'goes', frees, why]
    }),
  )
  print(columns([['backup', 'destination', '', 'frees', 'because'], ...rows]))
  for (const { options, plan, weight } of planned) {
    const at = `${options.source} at ${options.storage.name}`
    const { now, later, unswept } = weight
    if (plan.refused !== undefined) note(`Of ${at} nothing may be removed: ${plan.refused}`)
    else if (unswept !== undefined) note(`Of ${at} no segment may be removed: ${unswept}`)
    else if (now + later > 0)
      print(`Of ${at} ${size(now)} would be freed at once, ${size(later)} when it has been there for 7 days.`)
  }
}

type Done = Planned & { readonly pruned: Pruned }

async function writeDownPruned(
  config: Config,
  { storage, source }: PruneOptions,
  { backups, bytes }: Pruned,
) {
  if (backups === 0 && bytes === 0) return
  const detail = `${count(backups, 'backup')} (${size(bytes)}) at ${storage.name}`
  await writeDown(config, { what: 'prune', subject: source, detail })
}

/** @throws STORAGE_REFUSED if somewhere nothing may be removed, after all else was done and told */
function report(done: readonly Done[], flags: Flags): void {
  const sum = (of: (pruned: Pruned) => number) => done.reduce((total, one) => total + of(one.pruned), 0)
  const [backups, segments, bytes, locked] = [
    sum((one) => one.backups),
    sum((one) => one.segments),
    sum((one) => one.bytes),
    sum((one) => one.locked),
  ]
  if (flags.json) {
    printJson({ removed: true, backups, segments, bytes, locked, plans: done.map(toJson) })
  } else {
    print(
      `Removed ${count(backups, 'backup')} and ${count(segments, 'segment')} (${size(bytes)}) that no other backup needs.`,
    )
    if (locked > 0)
      print(`${count(locked, 'object is', 'objects are')} locked there; a prune after the lock removes them.`)
    for (const { options, pruned } of done) {
      if (pruned.unswept !== undefined && pruned.plan.refused === undefined)
        note(`Of ${options.source} at ${options.storage.name} no segment was removed: ${pruned.unswept}`)
    }
  }
  const denied = done.find(({ pruned }) => pruned.denied !== undefined)
  if (denied === undefined) return
  throw new BackupError(
    'STORAGE_REFUSED',
    `Nothing may be removed from ${denied.options.storage.name}: ${denied.pruned.denied ?? ''}`,
    { hint: 'Prune with credentials that may delete, from another machine if need be; docs/retention.md.' },
  )
}

function toJson({ options, plan, weight, pruned }: Planned & { readonly pruned?: Pruned }): object {
  const { refused, decisions } = plan
  return {
    source: options.source,
    destination: options.storage.name,
    refused: refused ?? null,
    decisions: decisions.map((one) => ({ ...one, bytes: weight.backups.get(one.run) ?? null })),
    bytes: { now: weight.now, later: weight.later },
    unswept: pruned?.unswept ?? weight.unswept ?? null,
    denied: pruned?.denied ?? null,
    locked: pruned?.locked ?? 0,
  }
}
