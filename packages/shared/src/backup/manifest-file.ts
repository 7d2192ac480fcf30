import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { BackupError, systemCode } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { type OpenManifest, openManifest, runOf } from '@securyflex/shared/repository'
import { openStorageForReading, type Storage } from '@securyflex/shared/storage'

/**
 * Opens the manifest at `path`, and the repository that its path lies in: `<root>/<source>/backups/<run>.json`.
 * Nothing else needs to be configured but the key.
 * @throws FILE_NOT_FOUND, FILE_NOT_RECOGNISED, and what openManifest throws
 */
export async function openManifestFile(
  path: string,
  keys: KeyRing,
): Promise<{ storage: Storage; opened: OpenManifest }> {
  const absolute = resolve(path)
  const bytes = await read(path, absolute)
  if (bytes.length === 0) throw notRecognised(`${path} is empty`, seeList)
  if (runOf(absolute) === undefined)
    throw notRecognised(`${path} is not the manifest of a backup`, hintFor(bytes))
  const root = dirname(dirname(dirname(absolute)))
  const storage = openStorageForReading({ kind: 'local', name: 'file', directory: root })
  const name = absolute.slice(root.length + 1)
  return { storage, opened: await openManifest(name, bytes, keys) }
}

const seeList =
  'A manifest is <repository>/<source>/backups/<run>.json; see the backups with: npx --no securyflex-backup list'

async function read(path: string, absolute: string): Promise<Buffer> {
  try {
    return await readFile(absolute)
  } catch (error) {
    switch (systemCode(error)) {
      case 'ENOENT':
      case 'ENOTDIR':
        throw new BackupError('FILE_NOT_FOUND', `There is neither a backup nor a file “${path}”.`, {
          hint: 'Write “latest”, the id of a run or the path of a manifest; see the backups with: npx --no securyflex-backup list',
          cause: error,
        })
      case 'EISDIR':
        throw notRecognised(
          `${path} is a directory`,
          'Name a manifest in it (<source>/backups/<run>.json), or set BACKUP_DIR to the directory that holds “repository” and write latest.',
        )
      case 'EACCES':
      case 'EPERM':
        throw new BackupError('FILE_NOT_RECOGNISED', `${path} may not be read by this user.`, {
          hint: `Check its owner and mode with: ls -l ${path}`,
          cause: error,
        })
      default:
        throw error
    }
  }
}

/** People try what they have: dumps of PostgreSQL's own tools are named for what they are. */
function hintFor(bytes: Buffer): string {
  if (bytes.subarray(0, 5).toString('latin1') === 'PGDMP')
    return 'It is an archive of pg_dump: restore it with pg_restore.'
  if (bytes.subarray(0, 2048).toString('utf8').includes('PostgreSQL database dump')) {
    return 'It is SQL of pg_dump: restore it with psql.'
  }
  return seeList
}

function notRecognised(what: string, hint: string): BackupError {
  return new BackupError('FILE_NOT_RECOGNISED', `${what}.`, { hint })
}
