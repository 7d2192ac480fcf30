import { type Config, type Destination, isSame } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { KeyRing } from '@securyflex/shared/keys'
import type { Logger } from '@securyflex/shared/logging'
import { type Queues, sharedLine } from '@securyflex/shared/queue'
import { Spool } from '@securyflex/shared/spool'
import { openStorage, type Storage } from '@securyflex/shared/storage'

/** What every step of a worker works with. */
export interface WorkerContext {
  readonly config: Config
  readonly queues: Queues
  readonly spool: Spool
  readonly keys: KeyRing
  /** By the destination's name; also those that are configured no longer, for runs under way. */
  readonly storages: ReadonlyMap<string, Storage>
  readonly logger: Logger
  readonly clock: () => Date
  /** Told of each place that work passes, `<step>:<place>`; tests hold a worker there and kill it. */
  readonly passed: (place: string) => Promise<void>
  /** Opens the store of a destination. */
  readonly open: (destination: Destination) => Promise<Storage>
}

/** What may differ from the ordinary in tests and measurements. */
export interface WorkerOptions {
  /** Default: the machine's. */
  readonly clock?: () => Date
  /** Default: goes on at once. */
  readonly passed?: (place: string) => Promise<void>
  /** What stands between steps and a store; default: nothing. */
  readonly reach?: (storage: Storage) => Storage
}

/** Opens spool and stores. @throws SPOOL_UNUSABLE, STORAGE_REFUSED, STORAGE_FULL */
export async function openContext(
  config: Config,
  queues: Queues,
  logger: Logger,
  { clock = () => new Date(), passed = () => Promise.resolve(), reach = (storage) => storage }: WorkerOptions,
): Promise<WorkerContext> {
  const open = async (destination: Destination) => {
    const { name, bandwidth } = destination
    const line = bandwidth === undefined ? undefined : sharedLine(queues.redis, name, bandwidth)
    return reach(await openStorage(destination, line))
  }
  const storages = new Map<string, Storage>()
  for (const destination of config.destinations) {
    storages.set(destination.name, await open(destination))
  }
  const spool = await Spool.open(config.spool)
  return { config, queues, spool, keys: new KeyRing(config.keys), storages, logger, clock, passed, open }
}

/**
 * The context for a changed configuration. Steps under way go on with the one that they began with.
 * @throws STORAGE_REFUSED, STORAGE_FULL
 */
export async function contextFor(config: Config, before: WorkerContext): Promise<WorkerContext> {
  const storages = new Map(before.storages)
  for (const destination of config.destinations) {
    const known = before.config.destinations.some((open) => isSame(open, destination))
    if (!known) storages.set(destination.name, await before.open(destination))
  }
  return { ...before, config, storages, keys: new KeyRing(config.keys) }
}

/**
 * The store of a destination; a step's, whose requests end with its signal.
 * @throws CONFIG_INVALID if this worker does not know it
 */
export function storageOf(
  { storages, signal }: Pick<WorkerContext, 'storages'> & { readonly signal?: AbortSignal },
  destination: string,
): Storage {
  const storage = storages.get(destination)
  if (storage !== undefined) return signal === undefined ? storage : storage.until(signal)
  throw new BackupError('CONFIG_INVALID', `This worker knows no destination ${destination}.`, {
    hint: 'Give all workers the same configuration.',
    class: 'permanent',
  })
}
