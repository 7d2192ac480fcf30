import { type Config, type Connection, settingsOf } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import {
  type ChosenBackup,
  findBackup,
  namesBackup,
  readGlobals,
  restore,
  type Restored,
  type RestoreRequest,
} from '@securyflex/shared/backup'
import { KeyRing } from '@securyflex/shared/keys'
import type { Command } from 'commander'
import { configure } from '../configuration.ts'
import { interruptible } from '../interruption.ts'
import { archivesOf, noteKilledRestores } from '../killed-restores.ts'
import { confirm } from '../output/confirm.ts'
import { examples, quoted } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { showProgress } from '../output/progress.ts'
import { describeComparison } from '../output/comparison.ts'
import { notePartial } from '../output/selection.ts'
import { moment, size } from '../output/written.ts'
import { answeringRepositories, oneSource, refusePlaceOfFile } from '../repositories.ts'
import { type DumpFlags, noteLeftOut, restoreDump, wholeNumber } from '../restore-dump.ts'
import { serverOf, targetOf } from '../targets.ts'

interface Flags extends DumpFlags {
  readonly source?: string
  readonly destination?: string
  readonly targetUrl?: string
  readonly keep?: true
  readonly globals?: true
}

export function addRestore(program: Command): void {
  program
    .command('restore')
    .description('restore a backup, or a dump of PostgreSQL’s own tools, into a new database')
    .argument('[what]', '“latest”, a run’s id, or the path of a manifest or a dump', 'latest')
    .option('--to <name>', 'name of the database to create; a dump finds one by itself')
    .option('--yes', 'do not ask')
    .option('--source <name>', 'whose latest; needed if there are several sources')
    .option('--destination <name>', 'from there alone; default: whichever has it')
    .option(
      '--target-url <url>',
      'server to restore to; default: DATABASE_URL (PGPASSWORD or ~/.pgpass for the password)',
    )
    .option('--without-owners', 'leave owners and privileges out: all belongs to the role that restores')
    .option('--keep', 'keep the new database also when it differs from what was backed up')
    .option('--globals', 'print the SQL of roles and tablespaces instead of restoring')
    .option(
      '--jobs <n>',
      'load over n connections; writes the archive to the spool’s disk first',
      wholeNumber('--jobs', 1),
    )
    .option('--pbkdf2', 'openssl’s option with which an encrypted dump was made; usual ones are tried')
    .option('--iter <n>', 'the same, with --pbkdf2: iterations', wholeNumber('--iter', 1))
    .option('--md <digest>', 'the same: sha256, sha512, md5, …')
    .option('--allow-commands', 'let psql run the backslash commands of a script, which can start programs')
    .option('--json', 'print one JSON document; it needs --yes')
    .addHelpText(
      'after',
      examples(
        ['restore latest --to shop_restored', 'the newest backup; asks first'],
        ['restore shop.20261123T020000Z.3fa2 --to shop_monday --yes', 'that one, without asking'],
        [
          'restore /mnt/copy/shop/backups/shop.20261123T020000Z.3fa2.json --to shop_copy',
          'from a copy of a repository',
        ],
        ['restore ./backups/backup.sql.gz --yes', 'a dump, also compressed and encrypted with openssl'],
        ['restore latest --destination offsite --to shop_restored', 'from there alone'],
        ['restore latest --globals > globals.sql', 'roles and tablespaces, for psql'],
      ) +
        '\n\nWith npm, options stand behind two dashes: npm run backup:restore -- latest --to shop_restored',
    )
    .action((what: string, flags: Flags) =>
      interruptible((signal) => restoreCommand(configure(), what, flags, signal)),
    )
}

async function restoreCommand(
  config: Config,
  what: string,
  flags: Flags,
  signal: AbortSignal,
): Promise<void> {
  refusePlaceOfFile(what, flags.destination)
  if (!namesBackup(what)) {
    await restoreDump(config, what, targetOf(config, flags.targetUrl), flags, signal)
    return
  }
  const backup = await choose(config, what, flags)
  if (flags.globals) return printGlobals(backup)
  const { manifest } = backup.opened
  if (flags.to === undefined) throw whereTo(what, manifest.database['name'] ?? manifest.source)
  const target = targetOf(config, flags.targetUrl, manifest.source)
  notePartial(manifest)
  const total = manifest.streams.find(({ kind }) => kind === 'archive')?.bytes ?? 0
  await confirm(
    `Restore ${manifest.run} (${size(total)}, as of ${moment(new Date(manifest.snapshotAt), settingsOf(config, manifest.source).timeZone)}) into a new database "${flags.to}" on ${serverOf(target)}?`,
    {
      yes: flags.yes ?? false,
      line: typedWithNpm(what, flags.to, ['--yes']),
    },
  )
  await noteKilledRestores(config, target, signal)
  const parallel = parallelOf(config, flags, manifest.options.cipher)
  const progress = showProgress(
    `${parallel === undefined ? 'Restoring' : 'Writing out'} ${manifest.run}`,
    total,
  )
  const restored = await restore({
    backup,
    target,
    name: flags.to,
    owners: !flags.withoutOwners,
    keepDifferent: flags.keep ?? false,
    pgBinDirectory: config.pgBinDirectory,
    signal,
    parallel,
    onBytes: (done) => {
      progress.update(done)
    },
  }).finally(() => {
    progress.end()
  })
  if (flags.json)
    printJson({
      run: manifest.run,
      server: serverOf(target),
      selection: manifest.options.selection,
      ...restored,
    })
  else show(restored, manifest.run, target)
  refuseDifferent(restored)
}

/** Where the archive is written out for several jobs. */
function parallelOf(config: Config, { jobs = 1 }: Flags, cipher: string): RestoreRequest['parallel'] {
  if (jobs === 1) return undefined
  const directory = archivesOf(config)
  const plain = cipher === 'none' ? '' : ' It is not encrypted there.'
  note(`For ${String(jobs)} jobs the archive is written to ${directory}, and removed at the end.${plain}`)
  return { jobs, directory }
}

async function choose(config: Config, what: string, flags: Flags): Promise<ChosenBackup> {
  const storages = await answeringRepositories(config, flags.destination)
  const keys = new KeyRing(config.keys)
  const source = what === 'latest' ? await oneSource(config, storages, flags.source) : undefined
  const backup = await findBackup({ what, source, storages, keys })
  for (const { run, why } of backup.passedOver) note(`Passed over ${run}, which is newer: ${why}`)
  if (!backup.opened.authenticated && !keys.empty) {
    note(
      'This backup is not authenticated, although a key is set: anybody who can write to the repository could have made it.',
    )
  }
  return backup
}

async function printGlobals(backup: ChosenBackup): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of readGlobals(backup)) parts.push(part)
  process.stdout.write(Buffer.concat(parts))
  note('This may hold hashes of passwords. Read it, and run what you need of it: psql --file=globals.sql')
}

function whereTo(what: string, database: string): BackupError {
  return new BackupError(
    'USAGE',
    'Nothing is restored over an existing database: the name of a new one is missing.',
    {
      hint: `Type for example: ${typedWithNpm(what, `${database}_restored`)}`,
    },
  )
}

function typedWithNpm(what: string, to: string, more: readonly string[] = []): string {
  return ['npm run backup:restore --', quoted(what), '--to', quoted(to), ...more].join(' ')
}

function show(
  { database, bytes, tool, comparison, properties, leftOut }: Restored,
  run: string,
  target: Connection,
): void {
  print(`Restored ${run} into "${database}" on ${serverOf(target)}: ${size(bytes)}, with pg_restore ${tool}.`)
  for (const line of describeComparison(comparison)) print(line)
  noteLeftOut(leftOut)
  for (const { statement, why } of properties.refused) print(`Not set, because ${why}: ${statement};`)
}

/** With --keep a difference is no error of the restore, and no success either. */
function refuseDifferent({ comparison, database }: Restored): void {
  const differences = comparison?.differences.length ?? 0
  if (differences === 0) return
  throw new BackupError('COMPARISON_FAILED', `"${database}" differs from what was backed up, and was kept.`, {
    hint: `Drop it when you have looked: DROP DATABASE "${database}";`,
  })
}
