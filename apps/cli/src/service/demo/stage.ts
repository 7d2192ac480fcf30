import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Config, loadConfig, type RedisAddress, separateEnvironment } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { connectOrFail, Queues } from '@securyflex/shared/queue'
import { untilServing } from '../lone-worker.ts'
import { type AppName, type Part, startApp, stopPart } from '../part.ts'
import { embeddedAddress, startRedis } from '../redis/redis.ts'
import type { DemoDatabase } from './database.ts'

/** Shorter than the default minute, so that nobody waits long for a dead worker's job; in ms. */
export const lockDuration = 5_000

/** The service of the demo: Redis, producer, worker and dashboard, each a process of its own. */
export interface Stage {
  readonly directory: string
  readonly config: Config
  readonly address: RedisAddress
  readonly queues: Queues
  /** Aborts when somebody does not want to see the rest. */
  readonly signal: AbortSignal
  /** Where the dashboard listens. */
  readonly board: string
  readonly pids: Readonly<Record<AppName, number | undefined>>
  /** Kills the worker as a crash would. */
  killWorker(): Promise<void>
  /** Starts another worker and waits until it serves every queue. */
  startWorker(): Promise<void>
  /** Writes the settings to a file that a shell can read, and returns its path. */
  writeSettings(): Promise<string>
}

/** Time to end in order, in ms. */
const grace = 15_000

/** Starts everything in a directory of its own; disposing of `props`, at any moment, leaves nothing of it. */
export async function setStage(
  props: AsyncDisposableStack,
  database: DemoDatabase,
  { keep, signal }: { readonly keep: boolean; readonly signal: AbortSignal },
): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'securyflex-demo-'))
  props.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  const settings = await settingsFor(directory, database, keep)
  const env = separateEnvironment(settings, database.url === undefined ? kept : ['BACKUP_PG_BIN_DIR'])
  const config = loadConfig({ env })
  const redis = props.adopt(await startRedis(config), (started) => started.stop())
  const connection = props.adopt(await connectOrFail(redis.address), (open) => {
    open.disconnect()
  })
  const queues = props.adopt(new Queues(connection, config.worker.retryDelay), (open) => open.close())

  const parts: Partial<Record<AppName, Part>> = {}
  const start = (name: AppName) => {
    const said = new Said(name)
    const part = startApp(name, env, (line) => said.hear(line))
    void part.ended.then(({ words }) => said.end(words))
    parts[name] = part
    return said
  }
  props.defer(async () => {
    await Promise.all(Object.values(parts).map((part) => stopPart(part, grace, signal)))
  })
  const startWorker = () =>
    untilServing(config, redis.address, AbortSignal.any([signal, start('worker').ended.signal]))
  const board = start('dashboard')
  start('producer')
  await startWorker()
  const address = await board.match(/The dashboard is (?:then )?at (\S+)/)
  return {
    directory,
    config,
    address: redis.address,
    queues,
    signal,
    board: address,
    get pids() {
      const { producer, worker, dashboard } = parts
      return {
        producer: producer?.process.pid,
        worker: worker?.process.pid,
        dashboard: dashboard?.process.pid,
      }
    },
    async killWorker() {
      parts.worker?.process.kill('SIGKILL')
      await parts.worker?.ended
    },
    startWorker,
    async writeSettings() {
      const path = join(directory, 'demo.env')
      const lines = Object.entries(settings).map(([name, value]) => `export ${name}='${value}'`)
      await writeFile(path, `${lines.join('\n')}\n`, { mode: 0o600 })
      return path
    },
  }
}

/** What of the user's own configuration reaches the processes: where the database is, and its tools. */
const kept = ['DATABASE_URL', 'BACKUP_PG_BIN_DIR'] as const

async function settingsFor(directory: string, { url }: DemoDatabase, keep: boolean) {
  const backups = join(directory, 'backups')
  const redis = await embeddedAddress({ directory: backups })
  return {
    ...(url === undefined ? {} : { DATABASE_URL: url }),
    REDIS_URL: redis.url.reveal(),
    BACKUP_DIR: backups,
    BACKUP_COMPRESSION: 'true',
    BACKUP_ENCRYPTION: 'true',
    BACKUP_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
    BACKUP_FINGERPRINT: 'checksums',
    // While the demo counts its runs, none may come by the clock.
    BACKUP_SCHEDULE_ENABLED: String(keep),
    DASHBOARD_PORT: '0',
    WORKER_LOCK_DURATION: String(lockDuration),
    WORKER_STALLED_INTERVAL: '2000',
    WORKER_RETRY_DELAY: '500',
  }
}

/** What a process says. */
class Said {
  readonly #name: AppName
  readonly #lines: string[] = []
  readonly #listeners = new Set<() => void>()
  /** Aborts when the process ends. */
  readonly ended = new AbortController()

  constructor(name: AppName) {
    this.#name = name
  }

  hear(line: string): void {
    this.#lines.push(line)
    if (this.#lines.length > 50) this.#lines.shift()
    for (const look of this.#listeners) look()
  }

  end(words: string): void {
    this.ended.abort(
      new BackupError('INTERNAL', `The ${this.#name} ${words}: ${this.#lines.at(-1) ?? 'it said nothing'}`),
    )
  }

  /** Waits for a line; resolves with the pattern's first group. */
  async match(pattern: RegExp): Promise<string> {
    const { signal } = this.ended
    return new Promise((resolve, reject) => {
      const look = () => {
        const group = this.#lines.map((line) => pattern.exec(line)?.[1]).find((found) => found !== undefined)
        if (group === undefined) return
        this.#listeners.delete(look)
        resolve(group)
      }
      this.#listeners.add(look)
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      if (signal.aborted) reject(signal.reason as Error)
      look()
    })
  }
}
