import { BackupError, type ErrorCode } from '@securyflex/shared/errors'
import { unsoundRuns } from '@securyflex/shared/history'
import type { KeyRing } from '@securyflex/shared/keys'
import {
  checkOwnDocuments,
  type FoundBackup,
  findBackups,
  type Kept,
  listKeeps,
  readKept,
  timeOfRun,
} from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'

/** One backup at one destination, as `list` shows it. Unknown is null: the document must be the same in every line. */
export interface ListedBackup {
  readonly run: string
  readonly source: string
  /** When it was asked for. */
  readonly time: string
  readonly destination: string
  readonly state: 'readable' | 'unauthenticated' | 'damaged' | 'key missing' | 'key wrong' | 'newer format'
  /** Of the streams, before compression. */
  readonly bytes: number | null
  /** What this backup added at this destination. */
  readonly stored: number | null
  /** Whether some of the database was left out on purpose. */
  readonly partial: boolean | null
  /** `none` without encryption. */
  readonly cipher: string | null
  /** Who keeps it from being pruned, since when and why; null if nobody does. */
  readonly kept: {
    readonly by: string | null
    readonly at: string | null
    readonly reason: string | null
  } | null
  /**
   * Whether it did not pass its checks there, or the newest scrub there found a segment of it missing or bad, and could
   * not heal it; null if unknown. One whose run left no report there that can be read counts as passed.
   */
  readonly incomplete: boolean | null
  /** Why it cannot be read. */
  readonly problem: string | null
}

/** What {@link listBackups} found. */
export interface Listed {
  readonly backups: readonly ListedBackup[]
  /** What is wrong with whole repositories. */
  readonly problems: readonly BackupError[]
}

/**
 * Every backup of `sources` at every store, newest first; a bad one is told, not left out. So is what is wrong with a
 * repository: its backups may be good all the same, and those of the others are.
 */
export async function listBackups(
  storages: readonly Storage[],
  sources: readonly string[],
  keys: KeyRing,
): Promise<Listed> {
  const backups: ListedBackup[] = []
  const problems: BackupError[] = []
  for (const storage of storages) {
    const problem = await problemOf(storage, keys)
    if (problem !== undefined) problems.push(problem)
    for (const source of sources) {
      const keeps = await listKeeps(storage, source)
      const all = await Array.fromAsync(findBackups(storage, source, keys))
      const runs = all.map(({ run }) => run)
      // Without its keys nothing there tells what runs and scrubs found.
      const unsound = problem === undefined ? await unsoundRuns(storage, keys, runs) : undefined
      for (const found of all) {
        const { run, opened } = found
        // Without its key a word about a backup cannot be read: then it counts as kept.
        const kept = await readKept(storage, run, opened?.key, keeps)
        const incomplete = unsound?.has(run) ?? null
        backups.push({ ...listed(found, source, storage.name, keys), kept: shown(kept), incomplete })
      }
    }
  }
  backups.sort((a, b) => b.time.localeCompare(a.time) || a.run.localeCompare(b.run))
  return { backups, problems }
}

async function problemOf(storage: Storage, keys: KeyRing): Promise<BackupError | undefined> {
  try {
    await checkOwnDocuments(storage, keys)
    return undefined
  } catch (error) {
    if (error instanceof BackupError && !error.code.startsWith('STORAGE_')) return error
    throw error
  }
}

function shown(kept: Kept | undefined): ListedBackup['kept'] {
  if (kept === undefined) return null
  return { by: kept.by ?? null, at: kept.at ?? null, reason: kept.reason ?? null }
}

function listed(
  found: FoundBackup,
  source: string,
  destination: string,
  keys: KeyRing,
): Omit<ListedBackup, 'kept' | 'incomplete'> {
  const { run, opened, problem } = found
  const common = { run, source, time: timeOfRun(run).toISOString(), destination }
  if (opened === undefined) {
    return {
      ...common,
      state: stateOf(problem.code),
      bytes: null,
      stored: null,
      partial: null,
      cipher: null,
      problem: problem.message,
    }
  }
  const { streams, stored, options } = opened.manifest
  return {
    ...common,
    // Whoever can write to the store could have put it there; without any key nothing better is to be had.
    state: opened.authenticated || keys.empty ? 'readable' : 'unauthenticated',
    bytes: streams.reduce((sum, { bytes }) => sum + bytes, 0),
    stored: stored.bytes,
    partial: options.selection !== undefined,
    cipher: options.cipher,
    problem: null,
  }
}

function stateOf(code: ErrorCode): ListedBackup['state'] {
  if (code === 'KEY_MISSING') return 'key missing'
  if (code === 'KEY_WRONG') return 'key wrong'
  return code === 'FORMAT_UNKNOWN' ? 'newer format' : 'damaged'
}
