import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import { keepBackup, type Keeping, readBackup } from '@securyflex/shared/repository'
import type { Command } from 'commander'
import { asker } from '../asker.ts'
import { writeDown } from '../audit.ts'
import { configure } from '../configuration.ts'
import { examples } from '../output/examples.ts'
import { print, printJson } from '../output/print.ts'
import { throwAll } from '../output/report-error.ts'
import { findPlaces } from '../places.ts'
import { answeringRepositories, openNamed } from '../repositories.ts'

interface Flags {
  readonly release?: true
  readonly reason?: string
  readonly destination?: string
  readonly source?: string
  readonly json?: true
}

export function addKeep(program: Command): void {
  program
    .command('keep')
    .description('keep a backup from being pruned until it is released')
    .argument('<backup>', '“latest” or a run’s id')
    .option('--release', 'give it back to the rules of retention')
    .option('--reason <text>', 'why, for those who find it kept')
    .option('--destination <name>', 'only there; default: wherever it is')
    .option('--source <name>', 'whose latest; needed if there are several sources')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['keep latest --reason "before the migration"', 'prune leaves it, whatever its age'],
        ['keep shop.20261123T020000Z.3fa2 --release', 'the rules decide on it again'],
      ),
    )
    .action((backup: string, flags: Flags) => keepCommand(configure(), backup, flags))
}

/** What was said of a backup at one destination; not `changed` if it was so before. */
interface Said {
  readonly run: string
  readonly destination: string
  readonly kept: boolean
  readonly changed: boolean
}

async function keepCommand(config: Config, backup: string, flags: Flags): Promise<void> {
  const keys = new KeyRing(config.keys)
  const action = flags.release ? 'release' : 'keep'
  const word: Keeping = { action, by: asker(), now: new Date(), reason: flags.reason }
  const results: Said[] = []
  const storages = await answeringRepositories(config, flags.destination)
  const heard = new Set(storages.map(({ name }) => name))
  const silent = openNamed(config, flags.destination).filter(({ name }) => !heard.has(name))
  const [first] = silent
  if (first !== undefined && backup === 'latest') throw whoseLatest(first.name)
  const problems = silent.map(({ name }) => unsaid(name))
  const places = await findPlaces(config, storages, backup, flags.source).catch((error: unknown) => {
    // It may lie where nobody answers.
    throw problems[0] !== undefined && isNotFound(error) ? problems[0] : error
  })
  for (const { storage, run } of places) {
    const [source = ''] = run.split('.')
    try {
      const opened = await readBackup(storage, source, run, keys)
      const changed = await keepBackup(storage, opened, word)
      results.push({ run, destination: storage.name, kept: action === 'keep', changed })
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      problems.push(error)
    }
  }
  await tell(config, results, flags)
  throwAll(problems)
}

function isNotFound(error: unknown): boolean {
  return error instanceof BackupError && error.code === 'BACKUP_NOT_FOUND'
}

/** A newer one may lie at a destination that is not asked now, and is asked the next time. */
function whoseLatest(silent: string): BackupError {
  return new BackupError(
    'STORAGE_UNREACHABLE',
    `Which backup is the latest is not known: ${silent} does not answer.`,
    {
      hint: 'Name the one that you mean; see what there is with: npx --no securyflex-backup list',
    },
  )
}

/** A prune there that does not hear of it follows the rules. */
function unsaid(destination: string): BackupError {
  return new BackupError('STORAGE_UNREACHABLE', `It was not said at ${destination}, which does not answer.`, {
    hint: 'Say it again when it does: until then what is there follows the rules of retention.',
  })
}

async function tell(config: Config, results: readonly Said[], { reason, json }: Flags): Promise<void> {
  const changed = results.filter((result) => result.changed)
  const [first] = changed
  if (first !== undefined) {
    const where = `at ${changed.map(({ destination }) => destination).join(', ')}`
    const detail = reason === undefined ? where : `${where}: ${reason}`
    await writeDown(config, { what: first.kept ? 'keep' : 'release', subject: first.run, detail })
  }
  if (json) printJson({ results })
  else for (const result of results) print(sentence(result))
}

function sentence({ run, destination, kept, changed }: Said): string {
  if (!changed) return `${run} at ${destination} was ${kept ? 'kept' : 'not kept'} already.`
  return kept
    ? `${run} at ${destination} is kept until it is released.`
    : `${run} at ${destination} is kept no longer; the rules of retention decide on it.`
}
