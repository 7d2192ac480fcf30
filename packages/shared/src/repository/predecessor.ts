import { BackupError } from '@securyflex/shared/errors'
import type { DataKey, KeyRing } from '@securyflex/shared/keys'
import { SegmentIndex } from '@securyflex/shared/segments'
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
