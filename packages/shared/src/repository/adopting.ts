import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { type Adoption, newestAdoption } from './adoption.ts'
import { layout } from './layout.ts'
import { readInstallation, readKeyRecords } from './repository.ts'

/**
 * Makes a repository this installation's: from then on it may write there and prune, and the one before may not any
 * more, which its next run says.
 * @returns whose it was; undefined if it is ours already
 * @throws BACKUP_NOT_FOUND if there is no repository, KEY_MISSING or KEY_WRONG if no configured key opens it
 */
export async function adoptRepository(
  storage: Storage,
  keys: KeyRing,
  { installation, by, now }: { installation: string; by: string; now: Date },
): Promise<string | undefined> {
  const from = await ownerOf(storage)
  if (from === installation) return undefined
  await refuseWithoutKey(storage, keys)
  const adoption: Adoption = {
    format: 1,
    kind: 'adoption',
    installation,
    from,
    by,
    at: now.toISOString(),
  }
  // Clocks differ between machines: who adopts later bears the later time.
  let time = Math.max(now.getTime(), ((await newestAdoption(storage))?.time ?? 0) + 1)
  while (!(await storage.putIfAbsent(layout.adoption(time), Buffer.from(JSON.stringify(adoption))))) time += 1
  const owner = await ownerOf(storage)
  if (owner === installation) return from
  throw new BackupError('OTHER_INSTALLATION', `The repository in ${storage.shown} is now that of ${owner}.`, {
    hint: 'Another installation adopted it at the same moment; agree on one, and adopt it again.',
  })
}

async function ownerOf(storage: Storage): Promise<string> {
  const owner = await readInstallation(storage)
  if (owner !== undefined) return owner
  throw new BackupError('BACKUP_NOT_FOUND', `There is no repository in ${storage.shown}.`, {
    hint: 'Nothing needs to be adopted there: the first backup makes one.',
  })
}

/** Who cannot read what is there has no business with it. */
async function refuseWithoutKey(storage: Storage, keys: KeyRing): Promise<void> {
  const records = await readKeyRecords(storage)
  for (const record of records) {
    if (await keys.opens(record)) return
  }
  if (records.length === 0) return
  throw new BackupError('KEY_WRONG', `No configured key opens the repository in ${storage.shown}.`, {
    hint: 'Set BACKUP_ENCRYPTION_KEY, or BACKUP_ENCRYPTION_KEY_PREVIOUS, to its key: npx --no securyflex-backup key check',
  })
}
