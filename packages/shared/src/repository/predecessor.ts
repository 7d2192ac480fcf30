import { BackupError } from '@securyflex/shared/errors'
import type { DataKey, KeyRing } from '@securyflex/shared/keys'
import { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { findBackups, newestBackup } from './backups.ts'
import { presentOf } from './checking.ts'
import type { OpenManifest } from './open-manifest.ts'
import { BackupReader } from './reading.ts'

/** The backup that another one builds upon at one destination, and the segments of it that are still there. */
export interface Predecessor {
  readonly opened: OpenManifest
  readonly index: SegmentIndex
}

/**
 * What may be referenced at `storage` without storing it: what the newest backup names there, if it was written under
 * the same key, and is there (docs/format.md, last section). Nothing of one whose lists are damaged: then all is stored
 * again, which mends what can be mended. Undefined for the first.
 * @param damaged is told of such a one
 */
export async function predecessorOf(
  storage: Storage,
  source: string,
  keys: KeyRing,
  key: DataKey | undefined,
  damaged: (why: string, error: BackupError) => void = () => undefined,
): Promise<Predecessor | undefined> {
  const opened = await newestBackup(storage, source, keys, { acceptChecksums: key === undefined })
  if (opened === undefined || opened.key?.id !== key?.id) return undefined
  const named = await new BackupReader(storage, opened).index().catch((error: unknown) => {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
    const { run } = opened.manifest
    damaged(`What ${run} needs cannot be known at ${storage.name}, so all is stored there again.`, error)
    return new SegmentIndex()
  })
  return { opened, index: await presentOf(storage, source, named) }
}

/**
 * Adds to what may be referenced what older backups name of `wanted`, and what is there: a copy that came meanwhile is the
 * newest now, and the run built upon the one before. If a prune takes any of it, that is seen when the backup is checked
 * (docs/format.md, "Sweeps").
 * @param wanted ids in hexadecimal digits; those that were found are taken out
 */
export async function referenceOlder(
  storage: Storage,
  source: string,
  keys: KeyRing,
  { opened: newest, index }: Predecessor,
  wanted: Set<string>,
): Promise<void> {
  if (wanted.size === 0) return
  for await (const { opened } of findBackups(storage, source, keys)) {
    const isAlike = opened?.key?.id === newest.key?.id && opened?.authenticated === newest.authenticated
    if (opened === undefined || !isAlike || opened.hash === newest.hash) continue
    for (const entry of await presentOf(storage, source, await namedOf(storage, opened, wanted))) {
      index.add(entry)
      wanted.delete(entry.id.toString('hex'))
    }
    if (wanted.size === 0) return
  }
}

/** What a backup names of `wanted`; nothing of one whose lists are damaged. */
async function namedOf(
  storage: Storage,
  opened: OpenManifest,
  wanted: ReadonlySet<string>,
): Promise<SegmentIndex> {
  const named = new SegmentIndex()
  try {
    const all = await new BackupReader(storage, opened).index()
    for (const entry of all) if (wanted.has(entry.id.toString('hex'))) named.add(entry)
  } catch (error) {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
  }
  return named
}
