import { BackupError } from '@securyflex/shared/errors'
import { isTar, nameInTar } from './recognise.ts'

interface Stranger {
  readonly begins: RegExp
  readonly is: string
  /** `FILE` stands for the path. */
  readonly hint: string
}

/** What people try, too, by its first bytes as Latin-1, and what to type. */
const strangers: readonly Stranger[] = [
  unpacked(/^\xfd7zXZ\0/, 'compressed with xz', 'xz -dc FILE > dump'),
  unpacked(/^BZh[1-9]/, 'compressed with bzip2', 'bzip2 -dc FILE > dump'),
  unpacked(/^\x04\x22\x4d\x18/, 'compressed with lz4', 'lz4 -dc FILE > dump'),
  unpacked(/^PK\x03\x04/, 'a zip archive', 'unzip -p FILE > dump'),
  unpacked(/^7z\xbc\xaf\x27\x1c/, 'a 7z archive', '7z x -so FILE > dump'),
  unpacked(/^age-encryption\.org\//, 'encrypted with age', 'age -d FILE > dump'),
  unpacked(/^(?:-----BEGIN PGP|[\x84-\x86\x8c\xc1\xd2])/, 'encrypted with GnuPG', 'gpg -d FILE > dump'),
  unpacked(/^U2FsdGVkX1/, 'of openssl enc -a', 'openssl base64 -d -in FILE -out dump.enc'),
  unpacked(/^\xff\xfe/, 'UTF-16, as PowerShell writes it', 'iconv -f UTF-16 -t UTF-8 FILE > dump.sql'),
  {
    begins: /^-- (?:MySQL|MariaDB) dump|^\/\*!\d{5} SET/,
    is: 'a dump of MySQL',
    hint: 'Load it into MySQL and move it from there with pgloader.',
  },
  {
    begins: /^SQLite format 3\0/,
    is: 'a database of SQLite',
    hint: 'Move it with: pgloader FILE postgresql:///name',
  },
  {
    begins: /^SFLXSEG/,
    is: 'a segment of a repository, a part of many backups',
    hint: 'Name a manifest (<repository>/<source>/backups/<run>.json), or set BACKUP_DIR and write latest.',
  },
  {
    begins: /^\s*\{/,
    is: 'JSON',
    hint: 'A manifest is <repository>/<source>/backups/<run>.json; see the backups with: npx --no securyflex-backup list',
  },
]

function unpacked(begins: RegExp, is: string, line: string): Stranger {
  const result = / > (\S+)$|-out (\S+)$/.exec(line)
  return {
    begins,
    is,
    hint: `Unpack it, and restore the result: ${line} && npm run backup:restore ./${result?.[1] ?? result?.[2] ?? 'dump'} --yes`,
  }
}

/** FILE_NOT_RECOGNISED, with what the first bytes look like. `inside` is what they came out of, outermost first. */
export function notRecognised(path: string, head: Buffer, inside: readonly string[]): BackupError {
  const file = inside.length === 0 ? path : `What is inside of ${path} (${inside.join(', then ')})`
  if (isTar(head)) {
    const directory = nameInTar(head).replace(/\/?(?:toc\.dat)?$/, '')
    return new BackupError(
      'FILE_NOT_RECOGNISED',
      `${file} is a tar archive, but not one that pg_dump made.`,
      {
        hint: `If a directory dump is in it, unpack it: tar -xf ${path} && npm run backup:restore ./${directory} --yes`,
      },
    )
  }
  const text = head.toString('latin1')
  const stranger = strangers.find(({ begins }) => begins.test(text))
  if (stranger !== undefined) {
    return new BackupError('FILE_NOT_RECOGNISED', `${file} is ${stranger.is}.`, {
      hint: stranger.hint.replaceAll('FILE', path),
    })
  }
  return new BackupError(
    'FILE_NOT_RECOGNISED',
    `${file} is neither a backup nor a dump of PostgreSQL: it begins with ${shown(head)}.`,
    { hint: `See what it is with: file ${path}` },
  )
}

function shown(head: Buffer): string {
  const first = head.subarray(0, 16)
  const text = first.toString('latin1')
  return /^[\x20-\x7e\n\r\t]+$/.test(text) ? JSON.stringify(text) : `the bytes ${first.toString('hex')}`
}
