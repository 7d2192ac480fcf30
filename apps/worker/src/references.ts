import { BackupError } from '@securyflex/shared/errors'
import { BackupReader, newestBackup, type OpenManifest, presentOf } from '@securyflex/shared/repository'
import type { DataKey } from '@securyflex/shared/keys'
import { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import type { WorkerContext } from './context.ts'

/** The backup that a run builds upon at one destination, and the segments of it that are still there. */
export interface Predecessor {
  readonly opened: OpenManifest
  readonly index: SegmentIndex
}

/** The newest backup of the source at `storage` that counts; undefined for the first. */
async function newestOf(
  { keys }: Pick<WorkerContext, 'keys'>,
  storage: Storage,
  source: string,
  key: DataKey | undefined,
): Promise<OpenManifest | undefined> {
  return newestBackup(storage, source, keys, { acceptChecksums: key === undefined })
}

/**
 * What a run may reference at `storage` without storing it: what the newest backup names there, if it was
 * written under the same key, and is there (docs/format.md, last section). Nothing of one whose lists are damaged:
 * then all is stored again, which mends what can be mended.
 */
export async function predecessorOf(
  context: Pick<WorkerContext, 'keys' | 'logger'>,
  storage: Storage,
  source: string,
  key: DataKey | undefined,
): Promise<Predecessor | undefined> {
  const opened = await newestOf(context, storage, source, key)
  if (opened === undefined || opened.key?.id !== key?.id) return undefined
  const named = await namedBy(context, storage, opened)
  return { opened, index: await presentOf(storage, source, named) }
}

async function namedBy(
  { logger }: Pick<WorkerContext, 'logger'>,
  storage: Storage,
  opened: OpenManifest,
): Promise<SegmentIndex> {
  try {
    return await new BackupReader(storage, opened).index()
  } catch (error) {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
    const { run } = opened.manifest
    logger.warn(`What ${run} needs cannot be known at ${storage.name}, so all is stored there again.`, {
      error,
    })
    return new SegmentIndex()
  }
}
