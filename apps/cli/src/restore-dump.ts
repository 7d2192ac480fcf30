import { getHashes } from 'node:crypto'
import type { Config, Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import {
  type Derivation,
  type DumpFile,
  freeDatabaseName,
  openDumpFile,
  type RestoredFile,
  restoreFile,
} from '@securyflex/shared/backup'
import { noteKilledRestores } from './killed-restores.ts'
import { confirm } from './output/confirm.ts'
import { quoted } from './output/examples.ts'
import { note, print, printJson } from './output/print.ts'
import { count, size } from './output/written.ts'
import { serverOf } from './targets.ts'

/** What the command line says of a dump that is a file or directory. */
export interface DumpFlags {
  readonly to?: string
  readonly yes?: true
  readonly withoutOwners?: true
  readonly json?: true
  readonly jobs?: number
  readonly allowCommands?: true
  readonly pbkdf2?: true
  readonly iter?: number
  readonly md?: string
}

/**
 * Restores a file or directory of PostgreSQL's own tools into a new database. Without a name for it that is the
 * connection's database if it does not exist, else one beside it: what is there is never written over.
 */
export async function restoreDump(
  config: Config,
  path: string,
  target: Connection,
  flags: DumpFlags,
  signal: AbortSignal,
): Promise<void> {
  const file = await openDumpFile(path, {
    passphrases: passphrasesOf(config),
    derivation: derivationOf(flags),
  })
  const name = flags.to ?? (await freeDatabaseName(target, target.database, signal))
  const into = `a new database "${name}" on ${serverOf(target)}`
  await confirm(`Restore ${path} (${whatItIs(file)}) into ${into}?`, {
    yes: flags.yes ?? false,
    line: ['npm run backup:restore --', quoted(path), '--to', quoted(name), '--yes'].join(' '),
  })
  await noteKilledRestores(config, target, signal)
  if (flags.to === undefined) note(`Restoring ${path} (${whatItIs(file)}) into ${into}.`)
  const restored = await restoreFile({
    file,
    target,
    name,
    owners: !flags.withoutOwners,
    jobs: flags.jobs ?? 1,
    allowCommands: flags.allowCommands ?? false,
    pgBinDirectory: config.pgBinDirectory,
    signal,
  })
  if (flags.json) {
    const { kind, layers } = file
    printJson({ file: path, kind, layers, server: serverOf(target), ...restored })
  } else show(restored, file, target, flags.to === undefined)
}

/** What opens files of openssl: its own passphrase, else the keys as they are written. */
function passphrasesOf({ opensslPassphrase, keys }: Config) {
  const all = [opensslPassphrase, keys.current, ...keys.previous]
  return all.filter((one) => one !== undefined)
}

function derivationOf({ pbkdf2, iter, md }: DumpFlags): Derivation | undefined {
  if (pbkdf2 === undefined && iter === undefined && md === undefined) return undefined
  if (md !== undefined && !getHashes().includes(md)) {
    throw new BackupError('USAGE', `--md ${md} is no digest of OpenSSL.`, {
      hint: 'Write for example: --md sha512 (openssl list -digest-algorithms shows all)',
    })
  }
  return { iterations: iter ?? (pbkdf2 ? 10_000 : undefined), digest: md ?? 'sha256' }
}

const kinds = {
  sql: 'SQL',
  custom: 'a custom archive',
  tar: 'a tar archive',
  directory: 'a directory archive',
}

/** `SQL, gzip inside of openssl, 3.4 MiB` */
function whatItIs({ kind, layers, bytes }: DumpFile): string {
  const wrapped = layers.length === 0 ? '' : `, ${layers.toReversed().join(' inside of ')}`
  return `${kinds[kind]}${wrapped}${bytes > 0 ? `, ${size(bytes)}` : ''}`
}

function show(restored: RestoredFile, file: DumpFile, target: Connection, derived: boolean): void {
  const { database, tool, oneTransaction, holds, leftOut } = restored
  const how = oneTransaction ? ', in one transaction' : ''
  print(`Restored ${file.path} into "${database}" on ${serverOf(target)}, with ${tool}${how}.`)
  const rows = holds.tables.reduce((total, table) => total + (table.rows ?? 0), 0)
  const held = [
    count(holds.tables.length, 'table'),
    count(rows, 'row'),
    count(holds.sequences.length, 'sequence'),
  ]
  print(`It holds ${held.join(', ')}. A dump does not say what it should hold: nothing was compared.`)
  noteLeftOut(leftOut)
  if (file.kind === 'sql' && !file.ofPgDump)
    note('It does not end as pg_dump ends, so nothing says that it is whole.')
  if (file.layers.includes('openssl')) note('Files of openssl carry no proof that nobody altered them.')
  if (derived && database !== target.database) showRenaming(database, target.database)
}

/** What the server's version does not know, and the data do not need. */
export function noteLeftOut(statements: readonly string[]): void {
  for (const statement of statements) {
    note(`Left out, because the server is older than the tools and does not know it: ${statement}`)
  }
}

function showRenaming(database: string, wanted: string): void {
  const [from, to, before] = [database, wanted, `${wanted}_before`].map(
    (name) => `"${name.replaceAll('"', '""')}"`,
  )
  print(`"${wanted}" is as it was. To put the restored one in its place, when nobody is connected to it:`)
  print(
    `  ALTER DATABASE ${String(to)} RENAME TO ${String(before)}; ALTER DATABASE ${String(from)} RENAME TO ${String(to)};`,
  )
}

/** @throws USAGE */
export function wholeNumber(option: string, least: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (Number.isInteger(number) && number >= least && /^\d+$/.test(text)) return number
    throw new BackupError('USAGE', `${option} ${text} is no whole number from ${String(least)} on.`, {
      hint: `Write for example: ${option} ${String(Math.max(2, least))}`,
    })
  }
}
