import type { Config } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import {
  BackupReader,
  checkBackup,
  type Checked,
  listRuns,
  type OpenManifest,
  parseRunId,
  readBackup,
} from '@securyflex/shared/repository'
import type { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { oneSource } from './repositories.ts'

export interface Verification {
  readonly config: Config
  readonly storages: readonly Storage[]
  readonly keys: KeyRing
  /** `latest` or a run's id. */
  readonly backup: string
  /** Whose latest. */
  readonly source: string | undefined
  readonly full: boolean
  readonly now: Date
  readonly signal: AbortSignal
}

/** How a backup is at one destination. */
export interface Verified {
  readonly run: string
  readonly destination: string
  readonly authenticated: boolean
  readonly checked: Checked | null
  readonly problem: BackupError | undefined
}

/**
 * Verifies one backup at every destination that has it. Here `latest` is the newest that there is, good or
 * bad: passing over a damaged one would hide what the question is about.
 * @throws BACKUP_NOT_FOUND if no destination has it
 */
export async function verifyBackup(verification: Verification): Promise<Verified[]> {
  const places = await findPlaces(verification)
  const results: Verified[] = []
  for (const { storage, run } of places) results.push(await verifyAt(verification, storage, run))
  return results
}

interface Place {
  readonly storage: Storage
  readonly run: string
}

async function findPlaces(verification: Verification): Promise<Place[]> {
  const { config, backup, storages } = verification
  const source =
    backup === 'latest' ? await oneSource(config, storages, verification.source) : parseRunId(backup)?.source
  if (source === undefined) throw notFound(backup, storages)
  const perStorage = await Promise.all(storages.map((storage) => listRuns(storage, source)))
  const wanted = backup === 'latest' ? perStorage.flat().sort().at(-1) : backup
  const places = storages.filter((_, index) => perStorage[index]?.includes(wanted ?? ''))
  if (wanted === undefined || places.length === 0) throw notFound(backup, storages)
  return places.map((storage) => ({ storage, run: wanted }))
}

function notFound(backup: string, storages: readonly Storage[]): BackupError {
  const where = storages.map(({ shown }) => shown).join(', ')
  const what = backup === 'latest' ? 'There is no backup' : `There is no backup “${backup}”`
  return new BackupError('BACKUP_NOT_FOUND', `${what} in ${where}.`, {
    hint: 'See what there is with: npx --no securyflex-backup list',
  })
}

async function verifyAt(verification: Verification, storage: Storage, run: string): Promise<Verified> {
  const { keys, full, now, signal } = verification
  const source = parseRunId(run)?.source ?? ''
  const result = { run, destination: storage.name }
  try {
    const opened = await readBackup(storage, source, run, keys)
    const predecessor = full ? undefined : await predecessorIndex(storage, opened, keys)
    const checked = await checkBackup(storage, new BackupReader(storage, opened), {
      predecessor,
      full,
      now,
      signal,
    })
    return { ...result, authenticated: opened.authenticated, checked, problem: undefined }
  } catch (error) {
    signal.throwIfAborted()
    const problem = asBackupError(error)
    if (problem.code === 'INTERNAL') throw error
    return { ...result, authenticated: false, checked: null, problem }
  }
}

/** What the backup before named; undefined, so that everything is opened, if that one cannot be read. */
async function predecessorIndex(
  storage: Storage,
  { manifest }: OpenManifest,
  keys: KeyRing,
): Promise<SegmentIndex | undefined> {
  if (manifest.predecessor === null) return undefined
  try {
    const before = await readBackup(storage, manifest.source, manifest.predecessor.run, keys)
    return await new BackupReader(storage, before).index()
  } catch (error) {
    if (asBackupError(error).class === 'transient') throw error
    return undefined
  }
}
