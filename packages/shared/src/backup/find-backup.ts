import { resolve } from 'node:path'
import { BackupError } from '@securyflex/shared/errors'
import type { KeyRing } from '@securyflex/shared/keys'
import { findBackups, type OpenManifest, parseRunId, readBackup, runOf } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { openManifestFile } from './manifest-file.ts'

/** What is asked for, and where it may be. */
export interface BackupQuery {
  /** `latest`, a run's id, or the path of a manifest file. */
  readonly what: string
  /** Whose latest; needed for `latest` only. */
  readonly source: string | undefined
  readonly storages: readonly Storage[]
  readonly keys: KeyRing
}

/** A backup, opened at one store. */
export interface ChosenBackup {
  readonly storage: Storage
  readonly opened: OpenManifest
  /** Newer backups that `latest` could not be, with the reason; a person must hear of them. */
  readonly passedOver: readonly { readonly run: string; readonly why: string }[]
}

/** Whether this is how backups are named: `latest`, a run's id, or a path that could be a manifest's. */
export function namesBackup(what: string): boolean {
  return what === 'latest' || parseRunId(what) !== undefined || runOf(resolve(what)) !== undefined
}

/**
 * Finds a backup and opens its manifest.
 * @throws BACKUP_NOT_FOUND, FILE_NOT_FOUND, FILE_NOT_RECOGNISED, MANIFEST_DAMAGED, KEY_MISSING, KEY_WRONG, FORMAT_UNKNOWN
 */
export async function findBackup(query: BackupQuery): Promise<ChosenBackup> {
  if (query.what === 'latest') return findLatest(query)
  const named = parseRunId(query.what)
  if (named !== undefined) return findRun(query, named.source)
  return { ...(await openManifestFile(query.what, query.keys)), passedOver: [] }
}

/**
 * The newest backup of a source at any store. With a key only an authenticated one counts: anybody who can
 * write to the store could have put another there.
 */
async function findLatest({ storages, source, keys }: BackupQuery): Promise<ChosenBackup> {
  if (source === undefined) throw notFound('any source', storages)
  let newest: Pick<ChosenBackup, 'storage' | 'opened'> | undefined
  const bad: { run: string; problem: BackupError }[] = []
  for (const storage of storages) {
    for await (const { run, opened, problem } of findBackups(storage, source, keys)) {
      if (opened !== undefined && (opened.authenticated || keys.empty)) {
        if (newest === undefined || run > newest.opened.manifest.run) newest = { storage, opened }
        break
      }
      bad.push({ run, problem: problem ?? unauthenticated(run) })
    }
  }
  const chosen = newest?.opened.manifest.run ?? ''
  const passedOver = bad
    .filter(({ run }) => run > chosen)
    .sort((one, other) => other.run.localeCompare(one.run))
  if (newest !== undefined) {
    return { ...newest, passedOver: passedOver.map(({ run, problem }) => ({ run, why: problem.message })) }
  }
  throw passedOver[0]?.problem ?? notFound(source, storages)
}

async function findRun({ what, storages, keys }: BackupQuery, source: string): Promise<ChosenBackup> {
  let failure: BackupError | undefined
  for (const storage of storages) {
    try {
      return { storage, opened: await readBackup(storage, source, what, keys), passedOver: [] }
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      // A store that has it damaged says more than one that does not have it.
      if (failure === undefined || error.code !== 'BACKUP_NOT_FOUND') failure = error
    }
  }
  throw failure ?? notFound(source, storages)
}

function unauthenticated(run: string): BackupError {
  return new BackupError(
    'MANIFEST_DAMAGED',
    `${run} is not authenticated: anybody who can write to the repository could have put it there.`,
    { hint: 'If you know it to be yours, made without encryption, restore it by its id.' },
  )
}

function notFound(whose: string, storages: readonly Storage[]): BackupError {
  const where = storages.map(({ shown }) => shown).join(', ')
  return new BackupError('BACKUP_NOT_FOUND', `There is no backup of ${whose} in ${where}.`, {
    hint: 'See what there is with: npx --no securyflex-backup list (BACKUP_DIR says where it looks).',
  })
}
