import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { BackupReader, type OpenManifest, readBackup } from '@securyflex/shared/repository'
import type { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { readReport } from './history.ts'
import { unsoundRuns } from './unsound.ts'

/**
 * What was read back at `storage` before `manifest` was made, so that only the rest has to be: the segments of the newest
 * backup that it builds upon, or that one upon, and so on, that passed its checks there. What one that did not pass them has
 * stored was perhaps never read by anybody.
 * @param unreadable told why nothing vouches for anything, and all is to be read
 * @returns undefined if there is none
 */
export async function vouchedIndex(
  storage: Storage,
  keys: KeyRing,
  { source, predecessor }: OpenManifest['manifest'],
  unreadable: (error: BackupError) => void = () => undefined,
): Promise<SegmentIndex | undefined> {
  const passed = new Set<string>()
  try {
    for (let run = predecessor?.run; run !== undefined && !passed.has(run);) {
      const before = await readBackup(storage, source, run, keys)
      const unsound = await unsoundRuns(storage, keys, [run])
      if (!unsound.has(run) && !(await isUnfinished(storage, keys, source, run)))
        return await new BackupReader(storage, before).index()
      passed.add(run)
      run = before.manifest.predecessor?.run
    }
    return undefined
  } catch (error) {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
    unreadable(error)
    return undefined
  }
}

/** Whether the report that lies here never came to say how the check ended: it may not have. */
async function isUnfinished(storage: Storage, keys: KeyRing, source: string, run: string): Promise<boolean> {
  const report = await readReport(storage, source, run, keys)
  const here = report?.destinations.find(({ name }) => name === storage.name)
  return here?.outcome === 'pending' || here?.outcome === 'sealed'
}
