import { isatty } from 'node:tty'
import { isDeepStrictEqual } from 'node:util'
import { BackupError, describe, Secret } from '@securyflex/shared/errors'
import type { Config } from './config.ts'
import { load, type Loaded, type LoadOptions } from './load.ts'

/** What a running process keeps until it is started again, and the variables that say it. */
const kept = {
  redis: 'REDIS_URL and REDIS_TLS_…',
  directory: 'BACKUP_DIR',
  spool: 'BACKUP_SPOOL_DIR and BACKUP_SPOOL_LIMIT',
  logs: 'BACKUP_LOG_LEVEL',
  worker: 'WORKER_…',
  dashboard: 'DASHBOARD_…',
} as const satisfies Partial<Record<keyof Config, string>>

const removed = ' is removed'

/** A configuration that was read again while a process runs. */
export interface Reloaded {
  /** What it does from now on. */
  readonly config: Config
  /** What became of sources and destinations: `wiki is added`. */
  readonly changes: readonly string[]
  /** Variables whose change counts when the process is started again. */
  readonly later: readonly string[]
}

/**
 * Reads the configuration again. What cannot change under a running process stays as it is in `running`.
 * @throws what `loadConfig` throws, and CONFIG_INVALID where a file is gone that said something; then nothing has changed
 */
export function reloadConfig(running: Config, options: LoadOptions = {}): Reloaded {
  const loaded = load(options)
  const { config: fresh } = loaded
  const changes = changesBetween(running, fresh)
  refuseSilentLoss(running, loaded)
  const names = Object.keys(kept) as (keyof typeof kept)[]
  // A service of its own brings its Redis, which no variable names.
  const changed = names.filter(
    (name) => !(name === 'redis' && fresh.redis === undefined) && !isSame(running[name], fresh[name]),
  )
  const { redis, directory, spool, logs, worker, dashboard } = running
  return {
    config: { ...fresh, redis, directory, spool, logs, worker, dashboard },
    changes,
    later: changed.map((name) => kept[name]),
  }
}

/**
 * A file that an editor, a full disk or a mount has emptied or taken away is no wish to end backups or their encryption.
 * Whoever means that says so in a file that is there, or starts the process again.
 */
function refuseSilentLoss(running: Config, { config: fresh, file }: Loaded): void {
  const gone = (['file', 'dotenv'] as const).find(
    (name) => running[name] !== undefined && fresh[name] === undefined,
  )
  if (gone !== undefined) {
    throw new BackupError('CONFIG_INVALID', `${running[gone] ?? ''} is gone, or empty.`, {
      hint: 'Put it back; to do without it, stop this process and start it again.',
    })
  }
  const wasServed = running.sources.length + running.groups.length > 0
  const isServed = fresh.sources.length + fresh.groups.length > 0
  const isSaid = file?.content.sources !== undefined
  if (!wasServed || isServed || isSaid) return
  throw new BackupError(
    'CONFIG_INVALID',
    'No database is named any more, so that nothing would be backed up.',
    {
      hint: 'Put back what stood there; if that is meant, write into the configuration file: sources: {}',
    },
  )
}

function changesBetween(before: Config, after: Config): string[] {
  const was = new Map(namedOf(before).map((one) => [one.name, one]))
  const is = new Map(namedOf(after).map((one) => [one.name, one]))
  return [
    ...[...is.keys()].filter((name) => !was.has(name)).map((name) => `${name} is added`),
    ...[...is].flatMap(([name, one]) =>
      was.has(name) && !isSame(was.get(name), one) ? [`${name} is changed`] : [],
    ),
    ...[...was.keys()].filter((name) => !is.has(name)).map((name) => `${name}${removed}`),
  ]
}

function namedOf({ sources, groups, destinations }: Config): { readonly name: string }[] {
  return [...sources, ...groups, ...destinations.map((one) => ({ ...one, name: `destination ${one.name}` }))]
}

/** Whether two parts of a configuration are equal. Secrets count by their values, which they hide from every ordinary comparison. */
export function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(revealed(one), revealed(other))
}

function revealed(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal()
  if (Array.isArray(value)) return value.map(revealed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, revealed(one)]))
}

/** Who reads its configuration again when it is told to. */
export interface Reloading {
  /** Takes the new configuration; if it throws, the old one goes on. */
  readonly apply: (config: Config) => Promise<void> | void
  /** Says what came of it. */
  readonly say: (level: 'info' | 'warn' | 'error', text: string) => void
}

/**
 * Reads the configuration again at each SIGHUP, one after the other. Where a terminal was closed, the signal means
 * what it always meant: the process is asked to end.
 * @returns how to stop listening
 */
export function reloadOnHangup(config: Config, { apply, say }: Reloading): () => void {
  const began = hasTerminal()
  let running = config
  let underway = Promise.resolve()
  const reload = async () => {
    try {
      const { config: fresh, changes, later } = reloadConfig(running, { needs: ['key'] })
      await apply(fresh)
      running = fresh
      say(
        changes.some((change) => change.endsWith(removed)) ? 'warn' : 'info',
        `The configuration was read again: ${changes.length === 0 ? 'the sources are the same' : changes.join(', ')}.`,
      )
      for (const warning of fresh.warnings) say('warn', warning)
      for (const names of later) say('warn', `${names}: the change counts when this process starts again.`)
    } catch (error) {
      say('error', `The changed configuration is not taken, and what held before goes on. ${describe(error)}`)
    }
  }
  const heard = () => {
    if (began && !hasTerminal()) process.kill(process.pid, 'SIGTERM')
    else underway = underway.then(reload)
  }
  process.on('SIGHUP', heard)
  return () => {
    process.off('SIGHUP', heard)
  }
}

/** A terminal that was closed is none any more. */
function hasTerminal(): boolean {
  return [0, 1, 2].some((stream) => isatty(stream))
}
