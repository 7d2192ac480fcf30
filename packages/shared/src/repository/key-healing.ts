import { BackupError } from '@securyflex/shared/errors'
import { type KeyRecord, keyRecordSchema, type KeyRing } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { findBackups } from './backups.ts'
import { layout } from './layout.ts'

/**
 * Stores the key records of a place again that are damaged there: as another place has them, or a backup, each of which
 * holds its own. Only what a configured key opens is stored; what nobody has stays, for who reads the records to tell.
 * @returns the names of those that are good again
 */
export async function healKeyRecords(
  storage: Storage,
  others: readonly Storage[],
  source: string,
  keys: KeyRing,
): Promise<string[]> {
  const healed: string[] = []
  if (keys.empty) return healed
  for await (const { key: name } of storage.list(layout.keys)) {
    const id = /^keys\/([0-9a-f]{32})\.json$/.exec(name)?.[1]
    if (id === undefined) continue
    const there = await readRecord(storage, id, keys)
    if (there !== 'damaged') continue
    const record = await findRecord(id, [...others, storage], source, keys)
    if (record === undefined) continue
    await storage.put(name, Buffer.from(JSON.stringify(record)))
    healed.push(name)
  }
  return healed
}

/** The first that a configured key opens: first the records themselves are looked at, then what backups hold. */
async function findRecord(
  id: string,
  places: readonly Storage[],
  source: string,
  keys: KeyRing,
): Promise<KeyRecord | undefined> {
  for (const place of places) {
    const record = await unlessRefused(readRecord(place, id, keys))
    if (record !== undefined && typeof record !== 'string') return record
  }
  for (const place of places.toReversed()) {
    const record = await unlessRefused(heldByBackup(place, id, source, keys))
    if (record !== undefined) return record
  }
  return undefined
}

/** `damaged` also for one that was altered; `closed` for one of a key that is not configured. */
async function readRecord(
  storage: Storage,
  id: string,
  keys: KeyRing,
): Promise<KeyRecord | 'damaged' | 'closed' | undefined> {
  const bytes = await storage.get(layout.key(id))
  if (bytes === undefined) return undefined
  const record = parse(bytes)
  if (record?.id !== id) return 'damaged'
  try {
    return (await keys.opens(record)) ? record : 'closed'
  } catch (error) {
    if (error instanceof BackupError && error.code === 'MANIFEST_DAMAGED') return 'damaged'
    throw error
  }
}

function parse(bytes: Buffer): KeyRecord | undefined {
  try {
    return keyRecordSchema.parse(JSON.parse(bytes.toString('utf8')))
  } catch {
    // Whatever is wrong with it, it is no key record: that is all that is asked.
    return undefined
  }
}

async function heldByBackup(
  storage: Storage,
  id: string,
  source: string,
  keys: KeyRing,
): Promise<KeyRecord | undefined> {
  for await (const { opened } of findBackups(storage, source, keys)) {
    if (opened?.authenticated === true && opened.key?.id === id) return opened.key.record
  }
  return undefined
}

/** Another place that does not answer has nothing to give. */
async function unlessRefused<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found
  } catch (error) {
    if (error instanceof BackupError && error.code.startsWith('STORAGE_')) return undefined
    throw error
  }
}
