import { BackupError } from '@securyflex/shared/errors'
import type { DataKey, KeyRing } from '@securyflex/shared/keys'
import { type ListEntry, SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { findBackups } from './backups.ts'
import { presentOf } from './checking.ts'
import { layout } from './layout.ts'
import type { OpenManifest } from './open-manifest.ts'
import { BackupReader } from './reading.ts'

export interface Sought {
  readonly storage: Storage
  readonly source: string
  readonly keys: KeyRing
  readonly key: DataKey | undefined
  /** Ids, each once. */
  readonly lacking: readonly Buffer[]
}

/**
 * Of the segments that a run needs, and neither stored nor finds in the newest backup: what any backup under the same key
 * names here, and is there. A run builds upon what was newest when it began; a copy that was brought here since may be
 * newer than that, and name less.
 */
export async function findInAny(sought: Sought): Promise<SegmentIndex> {
  const { storage, source, keys, key, lacking } = sought
  const found = new SegmentIndex()
  if (lacking.length === 0) return found
  for await (const { opened } of findBackups(storage, source, keys)) {
    if (opened === undefined || opened.key?.id !== key?.id) continue
    if (!opened.authenticated && key !== undefined) continue
    for (const entry of await entriesOf(storage, opened, lacking)) found.add(entry)
    if (found.size === lacking.length) break
  }
  const present = await presentOf(storage, source, found)
  // When these were last locked for a backup is not known here.
  for (const { id } of present) await storage.locks?.renew(layout.segment(source, id))
  return present
}

/** None of a backup whose lists are damaged. */
async function entriesOf(
  storage: Storage,
  opened: OpenManifest,
  ids: readonly Buffer[],
): Promise<ListEntry[]> {
  try {
    const index = await new BackupReader(storage, opened).index()
    return ids.flatMap((id) => index.get(id) ?? [])
  } catch (error) {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
    return []
  }
}
