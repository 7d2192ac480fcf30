import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { type Destination, type LocalDestination, shownPlace } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { exists, freeSpace } from '@securyflex/shared/files'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import { reworded } from './reworded.ts'

/** What a backup would meet at a destination. */
export interface TriedDestination {
  readonly name: string
  readonly shown: string
  /** Bytes that this user may still write; undefined in a cloud. */
  readonly free: number | undefined
  /** Whether there is nothing yet: the first backup makes it. */
  readonly missing: boolean
  /** What works there, but not as one may expect. */
  readonly remarks: readonly string[]
}

/**
 * Writes, reads, lists and removes a small object, in the way of a backup. A directory that is not there yet is made
 * only if `create` says so; else the room in the nearest directory above it is told.
 * @throws STORAGE_REFUSED, STORAGE_FULL, STORAGE_UNREACHABLE
 */
export async function tryDestination(
  destination: Destination,
  { create }: { create: boolean },
): Promise<TriedDestination> {
  const { name } = destination
  const shown = shownPlace(destination)
  if (destination.kind !== 'local') {
    return { name, shown, free: undefined, missing: false, remarks: await use(destination) }
  }
  const missing = await isMissing(destination)
  const remarks = create || !missing ? await use(destination) : []
  const free = await freeSpace(await nearestThere(destination.directory))
  return { name, shown, free, missing: missing && !create, remarks }
}

const isMissing = async ({ directory }: LocalDestination) => !(await exists(directory))

async function use(destination: Destination): Promise<string[]> {
  try {
    return await putAndGet(await openStorage(destination))
  } catch (error) {
    const setting = destination.name === 'local' ? 'BACKUP_DIR' : `destinations.${destination.name}.directory`
    throw reworded(error, { [`Set ${setting} to`]: 'Choose', [`set ${setting} to`]: 'choose' })
  }
}

async function putAndGet(storage: Storage): Promise<string[]> {
  const [key, body] = [`check-${randomBytes(6).toString('hex')}`, randomBytes(64)]
  await storage.put(key, body)
  try {
    await refuseForgetful(storage, key, body)
    await refuseOverwriting(storage, key, body)
    await storage.locks?.renew(key)
  } catch (error) {
    // What went wrong first is what is told.
    await storage.delete(key).catch(() => undefined)
    throw error
  }
  return remove(storage, key)
}

async function refuseForgetful(storage: Storage, key: string, body: Buffer): Promise<void> {
  const read = await storage.get(key)
  const listed = await Array.fromAsync(storage.list(key), (object) => object.key)
  if (read?.equals(body) === true && listed.includes(key)) return
  const lack = read?.equals(body) === true ? 'does not list' : 'does not give back'
  throw new BackupError('STORAGE_UNREACHABLE', `${storage.shown} ${lack} what was written to it.`, {
    hint: 'Check the disk or the mount there, or what stands between here and the store.',
  })
}

/** A store that does not know `If-None-Match` may take no notice of it: then the second writer wins, and nobody hears of it. */
async function refuseOverwriting(storage: Storage, key: string, body: Buffer): Promise<void> {
  const stored = await storage.putIfAbsent(key, randomBytes(64))
  if (!stored && (await storage.get(key))?.equals(body) === true) return
  throw new BackupError(
    'STORAGE_REFUSED',
    `${storage.shown} replaces what is there although it was asked not to.`,
    { hint: 'If it is a store without conditional writes, say so: conditionalWrites: false.', class: 'user' },
  )
}

/** Credentials that may only add are a choice: whoever steals them removes no backup. */
async function remove(storage: Storage, key: string): Promise<string[]> {
  try {
    await storage.delete(key)
    return []
  } catch (error) {
    const isChosen =
      error instanceof BackupError && (error.code === 'STORAGE_REFUSED' || error.code === 'STORAGE_LOCKED')
    if (!isChosen) throw error
    return [`nothing can be removed there, so old backups stay until somebody else prunes (${key} is left)`]
  }
}

async function nearestThere(path: string): Promise<string> {
  return (await exists(path)) || dirname(path) === path ? path : nearestThere(dirname(path))
}
