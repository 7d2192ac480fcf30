import type { DataKey, KeyRing } from '@securyflex/shared/keys'
import type { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { newestBackup } from './backups.ts'
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
 * the same key, and is there (docs/format.md, last section). Undefined for the first.
 */
export async function predecessorOf(
  storage: Storage,
  source: string,
  keys: KeyRing,
  key: DataKey | undefined,
): Promise<Predecessor | undefined> {
  const opened = await newestBackup(storage, source, keys, { acceptChecksums: key === undefined })
  if (opened === undefined || opened.key?.id !== key?.id) return undefined
  const named = await new BackupReader(storage, opened).index()
  return { opened, index: await presentOf(storage, source, named) }
}
