import { type Config, type Destination, findGroup, groupOf } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { listSources, parseRunId, readInstallation } from '@securyflex/shared/repository'
import {
  type Limiter,
  openStorageForReading,
  ownLine,
  type Storage,
  within,
} from '@securyflex/shared/storage'
import { note } from './output/print.ts'

/** The stores of the configured destinations; nothing is created in them. */
export function openRepositories(config: Config): Storage[] {
  return config.destinations.map((one) => openStorageForReading(one, lineOf(one)))
}

/** One for each destination of this process, however often it is opened. */
const lines = new WeakMap<Destination, Limiter>()

/**
 * What keeps a command to the `bandwidth` of a destination. It is the command's own: `list` and `restore` work without
 * Redis, which counts for the workers, and so what both send and read may add up.
 */
export function lineOf(destination: Destination): Limiter | undefined {
  if (destination.bandwidth === undefined) return undefined
  const line = lines.get(destination) ?? ownLine(destination.bandwidth)
  lines.set(destination, line)
  return line
}

/** What a store has for saying that it is there, in ms. */
const patience = 20_000

/**
 * Those of the configured stores that answer. One that does not is told on standard error and left out: what the others
 * have can be listed and restored, and that is most wanted when something is down.
 * @param destination the only one to look at; default: all
 * @throws what the first said if none answers, USAGE as {@link openNamed} does
 */
export async function answeringRepositories(config: Config, destination?: string): Promise<Storage[]> {
  const storages = openNamed(config, destination)
  // The only one says itself what is wrong with it.
  if (storages.length === 1) return storages
  const troubles: BackupError[] = []
  const answering = storages.map(async (storage) => {
    try {
      await within(patience, storage, readInstallation)
      return [storage]
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      // Other troubles are those of what is stored there: whoever looks at it tells them.
      if (!error.code.startsWith('STORAGE_')) return [storage]
      troubles.push(error)
      note(`${storage.name} is left out, and what it alone has: ${error.message}`)
      return []
    }
  })
  const usable = (await Promise.all(answering)).flat()
  if (usable.length === 0 && troubles[0] !== undefined) throw troubles[0]
  return usable
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

/** @throws USAGE where a file is to be read, and a destination is named beside it */
export function refusePlaceOfFile(what: string, destination: string | undefined): void {
  if (destination === undefined || what === 'latest' || parseRunId(what) !== undefined) return
  throw new BackupError('USAGE', `${what} is a file, and is at no destination.`, {
    hint: 'Leave --destination out, or write “latest” or the id of a run.',
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
