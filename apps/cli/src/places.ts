import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { listRuns, parseRunId } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { oneSource } from './repositories.ts'

/** A store that has a backup. */
interface Place {
  readonly storage: Storage
  readonly run: string
}

/**
 * The stores that have a backup. `latest` is the newest that there is, good or bad.
 * @param backup `latest` or a run's id
 * @param wantedSource whose latest
 * @throws BACKUP_NOT_FOUND if none has it, USAGE if it is not said whose latest is meant
 */
export async function findPlaces(
  config: Config,
  storages: readonly Storage[],
  backup: string,
  wantedSource: string | undefined,
): Promise<Place[]> {
  const source =
    backup === 'latest' ? await oneSource(config, storages, wantedSource) : parseRunId(backup)?.source
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
