import type { KeyRing } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { listRuns } from './backups.ts'
import { readScrubRecord, writeScrubRecord } from './scrub-record.ts'

/** Puts down that a backup is being brought to a place, and was not read back there. */
export async function noteUnchecked(
  storage: Storage,
  source: string,
  keys: KeyRing,
  run: string,
  now: Date,
): Promise<void> {
  await writeScrubRecord(storage, source, keys, now, ({ unchecked, ...rest }) => ({
    ...rest,
    unchecked: [...unchecked.filter((one) => one !== run), run],
  }))
}

/** Puts down that a backup is good where it was brought to. */
export async function noteChecked(
  storage: Storage,
  source: string,
  keys: KeyRing,
  run: string,
  now: Date,
): Promise<void> {
  if (!(await readScrubRecord(storage, source, keys)).unchecked.includes(run)) return
  await writeScrubRecord(storage, source, keys, now, ({ unchecked, ...rest }) => ({
    ...rest,
    unchecked: unchecked.filter((one) => one !== run),
  }))
}

/** The backups that were brought to a place, are there, and whose check has not ended good; newest first. */
export async function uncheckedCopies(storage: Storage, source: string, keys: KeyRing): Promise<string[]> {
  const { unchecked } = await readScrubRecord(storage, source, keys)
  if (unchecked.length === 0) return []
  return (await listRuns(storage, source)).filter((run) => unchecked.includes(run))
}
