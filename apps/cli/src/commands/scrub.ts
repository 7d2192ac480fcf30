import { type Config, findGroup, readShare, settingsOf } from '@securyflex/shared/config'
import { asBackupError, type BackupError } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import {
  describeFate,
  listSources,
  scrub,
  type Scrubbed,
  scrubProblem,
  unhealedOf,
} from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { interruptible } from '../interruption.ts'
import { examples, quoted, typed } from '../output/examples.ts'
import { columns, note, print, printJson } from '../output/print.ts'
import { count, size } from '../output/written.ts'
import { openNamed, openRepositories, sourcesOf } from '../repositories.ts'

interface Flags {
  readonly destination?: string
  readonly share?: string
  readonly dryRun?: true
  readonly json?: true
}

/** Findings of one source at one destination that are shown one by one. */
const mostShown = 50

export function addScrub(program: Command): void {
  program
    .command('scrub')
    .description('read stored segments back, and heal what is missing or bad from another destination')
    .argument('[source]', 'only of this source')
    .option('--destination <name>', 'only there')
    .option(
      '--share <part>',
      'which part, what was not read back for the longest time first: 1/30, 10% or all; default: scrub.share',
    )
    .option('--dry-run', 'only find and tell: nothing is healed, set aside or recorded')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['scrub', 'the next share of every source, everywhere'],
        ['scrub shop --destination nas --share all', 'every segment of shop there'],
      ),
    )
    .action((source: string | undefined, flags: Flags) =>
      interruptible((signal) => scrubCommand(configure(), source, flags, signal)),
    )
}

/** What a scrub of one source at one destination came to. */
interface Done {
  readonly source: string
  readonly destination: string
  readonly scrubbed: Scrubbed | undefined
  readonly problem: BackupError | undefined
}

/** @throws what could not be healed, else what a destination said; after all others were scrubbed and told */
async function scrubCommand(
  config: Config,
  wanted: string | undefined,
  flags: Flags,
  signal: AbortSignal,
): Promise<void> {
  const share = flags.share === undefined ? undefined : readShare(flags.share)
  const stored = await whatIsWhere(openNamed(config, flags.destination))
  const answering = stored.flatMap(({ storage, sources }) => (sources === undefined ? [] : [storage]))
  const done = stored.flatMap(({ done: failed }) => failed ?? [])
  for (const source of answering.length === 0 ? [] : await sourcesOf(config, answering, wanted)) {
    // A group's own run makes no backup.
    if (findGroup(config, source) !== undefined) continue
    for (const { storage, sources } of stored) {
      if (sources?.includes(source) !== true) continue
      const one = await scrubOne(config, storage, source, { ...flags, share }, signal)
      done.push(one)
      if (!flags.json) show(one)
    }
  }
  if (flags.json) printJson({ results: done.map(toJson) })
  else if (done.length === 0) note('There is no backup to read back.')
  const problems = done.flatMap(({ problem }) => problem ?? [])
  const worst = problems.find(({ exitStatus }) => exitStatus === 7) ?? problems[0]
  if (worst !== undefined) throw worst
}

/** The sources that each store has backups of. One that does not answer keeps nobody from the others. */
async function whatIsWhere(
  storages: readonly Storage[],
): Promise<{ storage: Storage; sources?: readonly string[]; done?: Done }[]> {
  return Promise.all(
    storages.map(async (storage) => {
      try {
        return { storage, sources: await listSources(storage) }
      } catch (error) {
        const problem = asBackupError(error)
        note(`${storage.name} cannot be read: ${problem.message}`)
        return { storage, done: { source: '', destination: storage.name, scrubbed: undefined, problem } }
      }
    }),
  )
}

async function scrubOne(
  config: Config,
  storage: Storage,
  source: string,
  { share, dryRun = false }: { share: number | undefined; dryRun?: boolean },
  signal: AbortSignal,
): Promise<Done> {
  const at = { source, destination: storage.name }
  try {
    const scrubbed = await scrub({
      storage,
      others: openRepositories(config).filter(({ name }) => name !== storage.name),
      source,
      keys: new KeyRing(config.keys),
      installation: config.installation,
      share: share ?? settingsOf(config, source).scrub.share,
      dryRun,
      now: new Date(),
      signal,
    })
    return { ...at, scrubbed, problem: scrubProblem(scrubbed, source, storage.name) }
  } catch (error) {
    signal.throwIfAborted()
    return { ...at, scrubbed: undefined, problem: asBackupError(error) }
  }
}

function show({ source, destination, scrubbed, problem }: Done): void {
  const at = `${source} at ${destination}`
  if (scrubbed === undefined) {
    note(`${at} could not be scrubbed, and counts as unchecked: ${problem?.message ?? ''}`)
    return
  }
  const { shards, opened, bytes, findings, unknown, unreadable, silent, keyRecords } = scrubbed
  for (const name of keyRecords) print(`${name} at ${destination} was damaged, and is healed.`)
  const bad = findings.length === 0 ? 'all are good' : count(findings.length, 'is bad', 'are bad')
  print(
    `${at}: ${count(shards, 'shard')} of 256, ${count(opened, 'segment')} (${size(bytes)}) read back, ${bad}.`,
  )
  const rows = findings.slice(0, mostShown).map((finding) => {
    const { name, what, backups, runs } = finding
    const more = backups > runs.length ? ` and ${String(backups - runs.length)} more` : ''
    return [name, what, backups === 0 ? 'of no backup' : `${runs.join(', ')}${more}`, describeFate(finding)]
  })
  if (rows.length > 0) print(columns([['segment', '', 'backups', ''], ...rows]))
  if (findings.length > rows.length) print(`… and ${String(findings.length - rows.length)} more.`)
  if (unknown.count > 0) {
    note(
      `${count(unknown.count, 'object')} there ${unknown.count === 1 ? 'is' : 'are'} no part of a repository, and left alone:`,
    )
    for (const name of unknown.names) note(`  ${name}`)
  }
  for (const { run, problem: why } of unreadable)
    note(`The manifest of ${run} cannot be read: ${why.message}`)
  for (const [name, why] of silent) note(`${name} could not be asked for what is bad here: ${why}`)
  const unhealed = unhealedOf(scrubbed)
  if (unhealed.length === 0) return
  note(
    `${count(scrubbed.unhealed.length, 'backup is', 'backups are')} incomplete at ${destination}: ${scrubbed.unhealed.join(', ')}`,
  )
  note(`They do not count as good there until a scrub finds them whole. Type: npm run backup`)
  note(`then: ${typed(`scrub ${quoted(source)} --destination ${quoted(destination)}`)}`)
}

function toJson({ source, destination, scrubbed, problem }: Done): object {
  const failure = problem === undefined ? null : { code: problem.code, message: problem.message }
  if (scrubbed === undefined) return { source, destination, scrubbed: false, problem: failure }
  const { unreadable, silent, ...rest } = scrubbed
  return {
    source,
    destination,
    scrubbed: true,
    ...rest,
    unreadable: unreadable.map(({ run, problem: { code, message } }) => ({ run, code, message })),
    silent: Object.fromEntries(silent),
    problem: failure,
  }
}
