import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import type { Storage } from '@securyflex/shared/storage'
import { layout, runOf } from './layout.ts'
import { type OpenManifest, openManifest } from './open-manifest.ts'

/** A backup as a listing finds it: its manifest opened, or why it could not be. */
export type FoundBackup =
  | { readonly run: string; readonly opened: OpenManifest; readonly problem?: undefined }
  | { readonly run: string; readonly opened?: undefined; readonly problem: BackupError }

/** Run ids of the source's backups, newest first. Run ids of one source sort by age. */
export async function listRuns(storage: Storage, source: string): Promise<string[]> {
  const runs: string[] = []
  for await (const { key } of storage.list(layout.backups(source))) {
    const run = runOf(key)
    if (run !== undefined) runs.push(run)
  }
  return runs.sort().reverse()
}

/** The sources that have a backup here. */
export async function listSources(storage: Storage): Promise<string[]> {
  const sources = new Set<string>()
  for await (const { key } of storage.list('')) {
    const match = /^([A-Za-z0-9_-]{1,64})\/backups\//.exec(key)
    if (match?.[1] !== undefined) sources.add(match[1])
  }
  return [...sources].sort()
}

/** Every backup of the source, newest first. What cannot be read is given with its problem, not left out. */
export async function* findBackups(
  storage: Storage,
  source: string,
  keys: KeyRing,
): AsyncGenerator<FoundBackup> {
  for (const run of await listRuns(storage, source)) yield await findBackup(storage, source, run, keys)
}

export async function findBackup(
  storage: Storage,
  source: string,
  run: string,
  keys: KeyRing,
): Promise<FoundBackup> {
  try {
    return { run, opened: await readBackup(storage, source, run, keys) }
  } catch (error) {
    if (error instanceof BackupError && error.class !== 'transient') return { run, problem: error }
    throw error
  }
}

/**
 * The manifest of one backup.
 * @throws BACKUP_NOT_FOUND, and what {@link openManifest} throws
 */
export async function readBackup(
  storage: Storage,
  source: string,
  run: string,
  keys: KeyRing,
): Promise<OpenManifest> {
  const name = layout.manifest(source, run)
  const bytes = await storage.get(name)
  if (bytes !== undefined) return openManifest(name, bytes, keys)
  throw new BackupError('BACKUP_NOT_FOUND', `There is no backup ${run} in ${storage.shown}.`, {
    hint: 'See what there is with: npx --no securyflex-backup list',
  })
}

/**
 * The newest backup that may be built upon or restored as `latest`: authenticated, or, where nothing is
 * encrypted, intact. What is damaged or of unknown origin is passed over.
 */
export async function newestBackup(
  storage: Storage,
  source: string,
  keys: KeyRing,
  options: { acceptChecksums: boolean },
): Promise<OpenManifest | undefined> {
  for await (const { opened } of findBackups(storage, source, keys)) {
    if (opened !== undefined && (opened.authenticated || options.acceptChecksums)) return opened
  }
  return undefined
}
