import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { type KeyRecord, KeyRing } from '@securyflex/shared/keys'
import { readKeyRecords } from '@securyflex/shared/repository'
import { openRepositories } from './repositories.ts'

/** What the configured keys can do with one stored key record. */
export interface CheckedRecord {
  readonly destination: string
  readonly id: string
  readonly created: string
  readonly openedBy: 'BACKUP_ENCRYPTION_KEY' | 'BACKUP_ENCRYPTION_KEY_PREVIOUS' | 'no configured key'
}

/** The key records of every destination, and the first thing that is wrong: KEY_MISSING or KEY_WRONG. */
export async function checkKeys(
  config: Config,
): Promise<{ records: readonly CheckedRecord[]; problem: BackupError | undefined }> {
  const keys = new KeyRing(config.keys)
  const records: CheckedRecord[] = []
  for (const storage of openRepositories(config)) {
    for (const record of await readKeyRecords(storage)) {
      const openedBy = keys.empty ? 'no configured key' : await opener(keys, config, record)
      records.push({ destination: storage.name, id: record.id, created: record.created, openedBy })
    }
  }
  return { records, problem: problemOf(config, keys, records) }
}

async function opener(keys: KeyRing, config: Config, record: KeyRecord): Promise<CheckedRecord['openedBy']> {
  if (config.keys.current !== undefined && (await keys.opensForWriting(record)))
    return 'BACKUP_ENCRYPTION_KEY'
  return (await keys.opens(record)) ? 'BACKUP_ENCRYPTION_KEY_PREVIOUS' : 'no configured key'
}

function problemOf(
  config: Config,
  keys: KeyRing,
  records: readonly CheckedRecord[],
): BackupError | undefined {
  const closed = records.find(({ openedBy }) => openedBy === 'no configured key')
  if (
    keys.empty &&
    (closed !== undefined ||
      [config.defaults, ...config.sources, ...config.groups].some(({ cipher }) => cipher !== 'none'))
  ) {
    return new BackupError('KEY_MISSING', 'No key is configured.', {
      hint:
        closed === undefined
          ? 'Make one with: npx --no securyflex-backup key generate'
          : 'Set BACKUP_ENCRYPTION_KEY (or BACKUP_ENCRYPTION_KEY_FILE) to the key that the backups were made with.',
    })
  }
  if (closed === undefined) return undefined
  return new BackupError(
    'KEY_WRONG',
    `No configured key opens the key record ${closed.id} of ${closed.destination}: its backups cannot be restored with them.`,
    { hint: 'Correct BACKUP_ENCRYPTION_KEY, or add the old key to BACKUP_ENCRYPTION_KEY_PREVIOUS.' },
  )
}
