import { readReport } from '@securyflex/shared/history'
import type { KeyRing } from '@securyflex/shared/keys'
import type { Predecessor } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'

/** What a run finds at a destination when it begins. */
export interface Found {
  readonly storage: Storage
  /** The newest backup there. */
  readonly predecessor: Predecessor | undefined
}

/**
 * Which destinations lack the newest backup of the source although it was verified there, as another destination
 * remembers: a disk that is not mounted, a bucket that was emptied, an old state that was brought back. Each in a sentence.
 * Pruning never takes the newest one.
 */
export async function findVanished(
  source: string,
  keys: KeyRing,
  found: readonly Found[],
): Promise<readonly string[]> {
  const runs = found.flatMap(({ predecessor }) => predecessor?.opened.manifest.run ?? [])
  const newest = runs.sort().at(-1)
  const where = found.find(({ predecessor }) => predecessor?.opened.manifest.run === newest)
  const lacking = found.filter(({ predecessor }) => predecessor?.opened.manifest.run !== newest)
  if (newest === undefined || where === undefined || lacking.length === 0) return []
  const report = await readReport(where.storage, source, newest, keys)
  const verifiedAt = new Set(
    report?.destinations.flatMap(({ name, outcome }) => (outcome === 'verified' ? [name] : [])),
  )
  return lacking
    .filter(({ storage }) => verifiedAt.has(storage.name))
    .map(
      ({ storage: { name, shown }, predecessor }) =>
        `${predecessor === undefined ? `No backup of ${source} is` : `The newest backups of ${source} are not`} at ${name} (${shown}) any more, though ${newest} was verified there. Is the right place mounted there? Type: npx --no securyflex-backup list ${source}`,
    )
}
