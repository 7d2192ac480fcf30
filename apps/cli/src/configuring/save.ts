import { chown, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Addition } from '@securyflex/shared/config'
import { BackupError, systemCode } from '@securyflex/shared/errors'
import { createFileDurably, writeFileDurably } from '@securyflex/shared/files'

/**
 * Writes what is added, 0600: secrets first, so that the configuration file never names a variable that is not there.
 * @returns the files that were written
 * @throws CONFIG_INVALID if somebody else changed one meanwhile; STORAGE_REFUSED, STORAGE_FULL
 */
export async function save({ paths, before, after }: Addition): Promise<string[]> {
  const written: string[] = []
  for (const which of ['dotenv', 'file'] as const) {
    if (after[which] === before[which]) continue
    await write(paths[which], before[which], after[which])
    written.push(paths[which])
  }
  return written
}

async function write(path: string, before: string, after: string): Promise<void> {
  try {
    const now = await textOf(path)
    const owner = await stat(now === undefined ? dirname(path) : path)
    if (now === undefined) {
      if (!(await createFileDurably(path, after))) throw changed(path)
    } else {
      if (now !== before) throw changed(path)
      await writeFileDurably(path, after)
    }
    // What root adds, the service of another user must be able to read.
    if (process.getuid?.() === 0) await chown(path, owner.uid, owner.gid)
  } catch (error) {
    if (error instanceof BackupError) throw error
    const full = systemCode(error) === 'ENOSPC' || systemCode(error) === 'EDQUOT'
    const why = systemCode(error) ?? String(error)
    throw new BackupError(full ? 'STORAGE_FULL' : 'STORAGE_REFUSED', `${path} cannot be written (${why}).`, {
      hint: full
        ? 'Make room there.'
        : 'Correct the permissions of its directory, or name another file: BACKUP_CONFIG.',
      cause: error,
    })
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function changed(path: string): BackupError {
  return new BackupError(
    'CONFIG_INVALID',
    `${path} was changed by somebody else meanwhile, so it was not written.`,
    {
      hint: 'Type the same again.',
    },
  )
}
