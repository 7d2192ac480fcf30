import { BackupReader, newestBackup, type OpenManifest, presentOf } from '@securyflex/shared/repository'
import type { DataKey } from '@securyflex/shared/keys'
import type { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import type { WorkerContext } from './context.ts'

/** The backup that a run builds upon at one destination, and the segments of it that are still there. */
export interface Predecessor {
  readonly opened: OpenManifest
  readonly index: SegmentIndex
}

/** The newest backup of the source at `storage` that counts; undefined for the first. */
async function newestOf(
  { keys }: WorkerContext,
  storage: Storage,
  source: string,
  key: DataKey | undefined,
): Promise<OpenManifest | undefined> {
  return newestBackup(storage, source, keys, { acceptChecksums: key === undefined })
}

/**
 * What a run may reference at `storage` without storing it: what the newest backup names there, if it was
 * written under the same key, and is there (docs/format.md, last section).
 */
export async function predecessorOf(
  context: WorkerContext,
  storage: Storage,
  source: string,
  key: DataKey | undefined,
): Promise<Predecessor | undefined> {
  const opened = await newestOf(context, storage, source, key)
  if (opened === undefined || opened.key?.id !== key?.id) return undefined
  const named = await new BackupReader(storage, opened).index()
  return { opened, index: await presentOf(storage, source, named) }
}
