import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BackupError, type Secret, systemCode } from '@securyflex/shared/errors'
import { readableSince } from '@securyflex/shared/postgres'
import { type Derivation, deriveKey, type OpensslKey, usualDerivations } from '../openssl/derivation.ts'
import { decryptHead, saltOf } from '../openssl/salted.ts'
import { firstBytes, type Layer, readThrough } from './layers.ts'
import { createsDatabases, isOfPgDump, type Kind, recognise, tellingBytes } from './recognise.ts'
import { notRecognised } from './stranger.ts'

/** A dump of PostgreSQL's own tools, whatever it is wrapped in. */
export interface DumpFile {
  readonly path: string
  readonly kind: 'custom' | 'tar' | 'directory' | 'sql'
  /** What it is inside of, outermost first. */
  readonly layers: readonly Layer['kind'][]
  /** Of the file itself; 0 for a directory. */
  readonly bytes: number
  /** Whether pg_dump's first lines are there, so that its last ones must be. */
  readonly ofPgDump: boolean
  /** The oldest major whose pg_restore reads it; undefined where any does, and for SQL. */
  readonly readableSince: number | undefined
  /** The dump itself, from its beginning. */
  read(): AsyncGenerator<Buffer>
}

/** What may open a file of `openssl enc`. */
export interface Passphrases {
  /** Tried in turn. */
  readonly passphrases: readonly Secret[]
  /** How openssl was told to derive the key; undefined tries what is usual. */
  readonly derivation: Derivation | undefined
}

/** Bytes before the first file of a tar archive, which is pg_dump's table of contents. */
const tarHeader = 512
/** Nobody wraps a dump oftener than this. */
const deepest = 6

/**
 * Finds out by their content what a file or directory holds, through gzip, zstd and `openssl enc -aes-256-cbc` in
 * any order.
 *
 * @throws FILE_NOT_FOUND, FILE_NOT_RECOGNISED with what it looks like, STREAM_DAMAGED, KEY_MISSING, KEY_WRONG
 */
export async function openDumpFile(path: string, opening: Passphrases): Promise<DumpFile> {
  const { directory, bytes } = await look(path)
  if (directory) {
    const { head } = await firstBytes(readThrough(join(path, 'toc.dat'), []), tellingBytes)
    return {
      path,
      kind: 'directory',
      layers: [],
      bytes: 0,
      ofPgDump: false,
      readableSince: readableSince(head),
      read: () => readThrough(path, []),
    }
  }
  const layers: Layer[] = []
  for (;;) {
    const { head, whole } = await firstBytes(readThrough(path, layers), tellingBytes)
    const inside = layers.map(({ kind }) => kind)
    if (head.length === 0) throw empty(path, inside)
    const kind = recognise(head)
    if (kind === undefined || layers.length > deepest) throw notRecognised(path, head, inside)
    if (isDump(kind)) {
      const text = kind === 'sql' ? head.toString('utf8') : ''
      if (createsDatabases(text)) throw ownDatabases(path, inside)
      return {
        path,
        kind,
        layers: inside,
        bytes,
        ofPgDump: isOfPgDump(text),
        readableSince: readableSince(kind === 'tar' ? head.subarray(tarHeader) : head),
        read: () => readThrough(path, layers),
      }
    }
    layers.push(kind === 'openssl' ? { kind, key: await findKey(path, head, whole, opening) } : { kind })
  }
}

function isDump(kind: Kind): kind is 'custom' | 'tar' | 'sql' {
  return kind === 'custom' || kind === 'tar' || kind === 'sql'
}

async function look(path: string): Promise<{ directory: boolean; bytes: number }> {
  try {
    const facts = await stat(path)
    if (!facts.isDirectory()) return { directory: false, bytes: facts.size }
    await stat(join(path, 'toc.dat'))
    return { directory: true, bytes: 0 }
  } catch (error) {
    throw await explainMissing(path, error)
  }
}

async function explainMissing(path: string, error: unknown): Promise<unknown> {
  const code = systemCode(error)
  if (code === 'EACCES' || code === 'EPERM') {
    return new BackupError('FILE_NOT_RECOGNISED', `${path} may not be read by this user.`, {
      hint: `Check its owner and mode with: ls -l ${path}`,
      cause: error,
    })
  }
  if (code !== 'ENOENT' && code !== 'ENOTDIR') return error
  const isDirectory = await stat(path).then(
    () => true,
    () => false,
  )
  if (isDirectory) {
    return new BackupError('FILE_NOT_RECOGNISED', `${path} is a directory.`, {
      hint: 'Name a manifest in it (<source>/backups/<run>.json), or set BACKUP_DIR to the directory that holds “repository” and write latest.',
    })
  }
  return new BackupError('FILE_NOT_FOUND', `There is neither a backup nor a file “${path}”.`, {
    hint: 'Write “latest”, the id of a run or the path of a manifest or dump; see the backups with: npx --no securyflex-backup list',
    cause: error,
  })
}

/** The first passphrase and derivation with which the file's beginning makes sense. */
async function findKey(
  path: string,
  head: Buffer,
  whole: boolean,
  { passphrases, derivation }: Passphrases,
): Promise<OpensslKey> {
  const salt = saltOf(head)
  if (salt === undefined) throw cutOff(path)
  if (passphrases.length === 0) throw noPassphrase(path)
  for (const passphrase of passphrases) {
    for (const one of derivation === undefined ? usualDerivations : [derivation]) {
      const key = await deriveKey(passphrase, salt, one)
      if (recognise(decryptHead(head, key, whole)) !== undefined) return key
    }
  }
  throw wrongPassphrase(path, derivation)
}

function cutOff(path: string): BackupError {
  return new BackupError('STREAM_DAMAGED', `${path} is cut off: nothing stands behind its salt.`, {
    hint: 'Compare its size with the original and fetch it again, or use another dump.',
  })
}

function noPassphrase(path: string): BackupError {
  return new BackupError('KEY_MISSING', `${path} is encrypted with openssl, and no passphrase is set.`, {
    hint: 'Set BACKUP_OPENSSL_PASSPHRASE (or BACKUP_OPENSSL_PASSPHRASE_FILE) to the one that it was encrypted with.',
  })
}

function wrongPassphrase(path: string, derivation: Derivation | undefined): BackupError {
  const tried = derivation === undefined ? 'with any of the usual options of openssl' : 'with these options'
  return new BackupError(
    'KEY_WRONG',
    `No configured passphrase opens ${path} ${tried} as a dump or something compressed.`,
    {
      hint: 'Correct BACKUP_OPENSSL_PASSPHRASE; if it was encrypted with -iter or -md, add them as: --pbkdf2 --iter 100000 --md sha512',
    },
  )
}

const seeList =
  'A manifest is <repository>/<source>/backups/<run>.json; see the backups with: npx --no securyflex-backup list'

function empty(path: string, inside: readonly string[]): BackupError {
  const what =
    inside.length === 0
      ? `${path} is empty.`
      : `${path} holds nothing: ${inside.join(', then ')}, then no byte.`
  return new BackupError('FILE_NOT_RECOGNISED', what, {
    hint: path.endsWith('.json') ? seeList : 'The dump that it was made from failed; use another one.',
  })
}

function ownDatabases(path: string, inside: readonly string[]): BackupError {
  const psql = 'psql --no-psqlrc --set=ON_ERROR_STOP=1 --dbname=postgres'
  const lines: Readonly<Record<string, string>> = {
    '': `${psql} --file=${path}`,
    gzip: `gunzip -c ${path} | ${psql}`,
    zstd: `zstd -dc ${path} | ${psql}`,
  }
  return new BackupError(
    'FILE_NOT_RECOGNISED',
    `${path} creates databases of its own (pg_dump --create, or pg_dumpall), and cannot go into a new one.`,
    {
      hint: `Read it, and if it is what you want, run it as it is: ${lines[inside.join()] ?? `(decrypt and unpack it first) ${psql} --file=dump.sql`}`,
    },
  )
}
