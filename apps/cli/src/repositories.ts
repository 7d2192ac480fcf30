import type { Config } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { listSources } from '@securyflex/shared/repository'
import { openStorageForReading, type Storage } from '@securyflex/shared/storage'

/** The stores of the configured destinations; nothing is created in them. */
export function openRepositories(config: Config): Storage[] {
  return config.destinations.map(openStorageForReading)
}

/**
 * The sources to look at: the one that is asked for, else all that are configured or have a backup.
 * @throws SOURCE_UNKNOWN for one that is neither, listing those there are
 */
export async function sourcesOf(
  config: Config,
  storages: readonly Storage[],
  wanted: string | undefined,
): Promise<string[]> {
  const stored = await Promise.all(storages.map(listSources))
  const known = [...new Set([...config.sources.map(({ name }) => name), ...stored.flat()])].sort()
  if (wanted === undefined) return known
  if (known.includes(wanted)) return [wanted]
  throw new BackupError('SOURCE_UNKNOWN', `There is no source “${wanted}”.`, {
    hint:
      known.length === 0
        ? 'Set DATABASE_URL, or BACKUP_DIR to where the backups are.'
        : `Write one of: ${known.join(', ')}.`,
  })
}
