import type { Config } from '@securyflex/shared/config'
import { asBackupError, type BackupError } from '@securyflex/shared/errors'
import { vouchedIndex } from '@securyflex/shared/history'
import type { KeyRing } from '@securyflex/shared/keys'
import {
  BackupReader,
  checkBackup,
  type Checked,
  parseRunId,
  readBackup,
} from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { findPlaces } from './places.ts'

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
  const { config, storages, backup, source } = verification
  const places = await findPlaces(config, storages, backup, source)
  const results: Verified[] = []
  for (const { storage, run } of places) results.push(await verifyAt(verification, storage, run))
  return results
}

async function verifyAt(verification: Verification, storage: Storage, run: string): Promise<Verified> {
  const { keys, full, now, signal } = verification
  const source = parseRunId(run)?.source ?? ''
  const result = { run, destination: storage.name }
  try {
    const opened = await readBackup(storage, source, run, keys)
    const predecessor = full ? undefined : await vouchedIndex(storage, keys, opened.manifest)
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
