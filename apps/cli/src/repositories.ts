import { type Config, findGroup, groupOf } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { listSources } from '@securyflex/shared/repository'
import { openStorageForReading, type Storage } from '@securyflex/shared/storage'

/** The stores of the configured destinations; nothing is created in them. */
export function openRepositories(config: Config): Storage[] {
  return config.destinations.map(openStorageForReading)
}

/**
 * The stores of one destination, or of all.
 * @throws USAGE for one that is not configured, listing those there are
 */
export function openNamed(config: Config, destination: string | undefined): Storage[] {
  const storages = openRepositories(config)
  const named = storages.filter(({ name }) => destination === undefined || name === destination)
  if (named.length > 0) return named
  throw new BackupError('USAGE', `There is no destination “${destination ?? ''}”.`, {
    hint: `Write one of: ${storages.map(({ name }) => name).join(', ')}.`,
  })
}

/**
 * The sources to look at: the one that is asked for, or a group with its databases, else all that are configured or have a backup.
 * @throws SOURCE_UNKNOWN for one that is neither, listing those there are
 */
export async function sourcesOf(
  config: Config,
  storages: readonly Storage[],
  wanted: string | undefined,
): Promise<string[]> {
  const stored = await Promise.all(storages.map(listSources))
  const configured = [...config.sources, ...config.groups].map(({ name }) => name)
  const known = [...new Set([...configured, ...stored.flat()])].sort()
  if (wanted === undefined) return known
  const group = findGroup(config, wanted)
  if (group !== undefined) return known.filter((name) => name === wanted || groupOf(config, name) === group)
  if (known.includes(wanted)) return [wanted]
  throw new BackupError('SOURCE_UNKNOWN', `There is no source “${wanted}”.`, {
    hint:
      known.length === 0
        ? 'Set DATABASE_URL, or BACKUP_DIR to where the backups are.'
        : `Write one of: ${known.join(', ')}.`,
  })
}

/**
 * The one source whose `latest` is meant: the one that is asked for, else the configured one, else the only
 * one that has a backup; undefined if there is none.
 * @throws USAGE if there are several, SOURCE_UNKNOWN
 */
export async function oneSource(
  config: Config,
  storages: readonly Storage[],
  wanted: string | undefined,
): Promise<string | undefined> {
  // A group's own run makes no backup.
  const isSource = (name: string) => findGroup(config, name) === undefined
  const known = (await sourcesOf(config, storages, wanted)).filter(isSource)
  const [configured, another] = config.sources
  if (wanted === undefined && configured !== undefined && another === undefined && config.groups.length === 0)
    return configured.name
  if (known.length <= 1) return known[0]
  throw new BackupError('USAGE', 'There are several sources, and “latest” does not say whose.', {
    hint: `Add one of: ${known.map((name) => `--source ${name}`).join(', ')}`,
  })
}
