import { type Config, settingsOf } from '@securyflex/shared/config'
import { BackupError, type Secret } from '@securyflex/shared/errors'
import {
  exportBackup,
  type ExportFormat,
  exportFormats,
  findBackup,
  opensslLine,
} from '@securyflex/shared/backup'
import { KeyRing } from '@securyflex/shared/keys'
import { type Command, Option } from 'commander'
import { configure } from '../configuration.ts'
import { interruptible } from '../interruption.ts'
import { examples, quoted } from '../output/examples.ts'
import { note, print, printJson } from '../output/print.ts'
import { notePartial } from '../output/selection.ts'
import { showProgress } from '../output/progress.ts'
import { moment, size } from '../output/written.ts'
import { answeringRepositories, oneSource, refusePlaceOfFile } from '../repositories.ts'

interface Flags {
  readonly format: ExportFormat
  readonly openssl?: true
  readonly output?: string
  readonly force?: true
  readonly source?: string
  readonly destination?: string
  readonly json?: true
}

export function addExport(program: Command): void {
  program
    .command('export')
    .description('write a backup into one file that PostgreSQL’s own tools read')
    .argument('[backup]', '“latest”, a run’s id, or the path of a manifest', 'latest')
    .addOption(
      new Option('--format <format>', 'for pg_restore, for psql, or that compressed')
        .choices(exportFormats)
        .default('custom'),
    )
    .option('--openssl', 'encrypt it as openssl enc does, with BACKUP_OPENSSL_PASSPHRASE or the key')
    .option('--output <path>', 'the file; default: the run’s id in the working directory')
    .option('--force', 'replace a file that is there')
    .option('--source <name>', 'whose latest; needed if there are several sources')
    .option('--destination <name>', 'from there alone; default: whichever has it')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples(
        ['export latest', 'an archive for pg_restore'],
        ['export latest --format sql.gz --openssl', 'for gunzip and psql, encrypted'],
        ['export shop.20261123T020000Z.3fa2 --format sql --output /tmp/shop.sql', 'that backup, there'],
      ),
    )
    .action((what: string, flags: Flags) =>
      interruptible((signal) => exportCommand(configure(), what, flags, signal)),
    )
}

const endings = { custom: 'dump', sql: 'sql', 'sql.gz': 'sql.gz' } as const

async function exportCommand(config: Config, what: string, flags: Flags, signal: AbortSignal): Promise<void> {
  refusePlaceOfFile(what, flags.destination)
  const storages = await answeringRepositories(config, flags.destination)
  const source = what === 'latest' ? await oneSource(config, storages, flags.source) : undefined
  const backup = await findBackup({ what, source, storages, keys: new KeyRing(config.keys) })
  for (const { run, why } of backup.passedOver) note(`Passed over ${run}, which is newer: ${why}`)
  const { manifest } = backup.opened
  const plain = `${manifest.run}.${endings[flags.format]}`
  const path = flags.output ?? `${plain}${flags.openssl ? '.enc' : ''}`
  const total = manifest.streams.find(({ kind }) => kind === 'archive')?.bytes ?? 0
  const progress = showProgress(`Exporting ${manifest.run}`, total)
  const exported = await exportBackup({
    backup,
    format: flags.format,
    path,
    passphrase: flags.openssl ? passphraseOf(config) : undefined,
    force: flags.force ?? false,
    pgBinDirectory: config.pgBinDirectory,
    signal,
    onBytes: (done) => {
      progress.update(done)
    },
  }).finally(() => {
    progress.end()
  })
  if (flags.json) {
    printJson({ run: manifest.run, format: flags.format, encrypted: flags.openssl ?? false, ...exported })
    return
  }
  notePartial(manifest)
  const asOf = moment(new Date(manifest.snapshotAt), settingsOf(config, manifest.source).timeZone)
  print(`Wrote ${path}: ${manifest.run}, as of ${asOf}, ${size(exported.bytes)}.`)
  print(`SHA-256: ${exported.sha256}`)
  for (const line of reading(config, path, plain, flags)) print(line)
  if (!flags.openssl && manifest.options.cipher !== 'none') note('The backup is encrypted; this file is not.')
  note(`Roles and tablespaces are not in it: npx --no securyflex-backup restore ${manifest.run} --globals`)
}

/** The lines that read the file on any machine. */
function reading(config: Config, path: string, plain: string, { format, openssl }: Flags): string[] {
  const variable =
    config.opensslPassphrase === undefined ? 'BACKUP_ENCRYPTION_KEY' : 'BACKUP_OPENSSL_PASSPHRASE'
  const file = openssl ? plain : path
  const load = {
    custom: `pg_restore --exit-on-error --dbname=NEW ${quoted(file)}`,
    sql: `psql --no-psqlrc --set=ON_ERROR_STOP=1 --single-transaction --dbname=NEW --file=${quoted(file)}`,
    'sql.gz': `gunzip -c ${quoted(file)} | psql --no-psqlrc --set=ON_ERROR_STOP=1 --single-transaction --dbname=NEW`,
  }
  return [
    'Read it on any machine with:',
    ...(openssl ? [`  ${opensslLine(quoted(path), quoted(plain), variable)}`] : []),
    `  ${load[format]}`,
  ]
}

/** What openssl is given. @throws KEY_MISSING */
function passphraseOf({ opensslPassphrase, keys }: Config): Secret {
  const passphrase = opensslPassphrase ?? keys.current
  if (passphrase !== undefined) return passphrase
  throw new BackupError('KEY_MISSING', 'There is no passphrase to encrypt with.', {
    hint: 'Set BACKUP_OPENSSL_PASSPHRASE (or BACKUP_OPENSSL_PASSPHRASE_FILE), or BACKUP_ENCRYPTION_KEY.',
  })
}
