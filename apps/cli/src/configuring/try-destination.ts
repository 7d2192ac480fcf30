import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import type { Destination } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { exists, freeSpace } from '@securyflex/shared/files'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import { reworded } from './reworded.ts'

/** What a backup would meet at a destination. */
export interface TriedDestination {
  readonly name: string
  readonly shown: string
  /** Bytes that this user may still write. */
  readonly free: number
  /** Whether there is nothing yet: the first backup makes it. */
  readonly missing: boolean
}

/**
 * Writes, reads and removes a small object, in the way of a backup. A place that is not there yet is made only if
 * `create` says so; else the room in the nearest directory above it is told.
 * @throws STORAGE_REFUSED, STORAGE_FULL, STORAGE_UNREACHABLE
 */
export async function tryDestination(
  destination: Destination,
  { create }: { create: boolean },
): Promise<TriedDestination> {
  const { name, directory } = destination
  const missing = !(await exists(directory))
  if (create || !missing) await writeAndRead(destination)
  const free = await freeSpace(await nearestThere(directory))
  return { name, shown: directory, free, missing: missing && !create }
}

async function writeAndRead(destination: Destination): Promise<void> {
  try {
    await putAndGet(await openStorage(destination))
  } catch (error) {
    throw reworded(error, { 'Set BACKUP_DIR to': 'Choose', 'set BACKUP_DIR to': 'choose' })
  }
}

async function putAndGet(storage: Storage): Promise<void> {
  const [key, body] = [`check-${randomBytes(6).toString('hex')}`, randomBytes(64)]
  try {
    await storage.put(key, body)
    if ((await storage.get(key))?.equals(body) === true) return
    throw new BackupError(
      'STORAGE_UNREACHABLE',
      `${storage.shown} does not give back what was written to it.`,
      {
        hint: 'Check the disk or the mount there.',
      },
    )
  } finally {
    await storage.delete(key)
  }
}

async function nearestThere(path: string): Promise<string> {
  return (await exists(path)) || dirname(path) === path ? path : nearestThere(dirname(path))
}
