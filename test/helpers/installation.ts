import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Config, loadConfig, requireSource } from '@securyflex/shared/config'
import { readReport, type RunReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { connectOrFail, Queues, requestRun } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { openStorageForReading, type Storage } from '@securyflex/shared/storage'
import type { Job } from 'bullmq'
import { type Access, createDatabase, type TestDatabase } from './postgres.ts'
import { startRedis, type TestRedis } from './redis.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** Key of the tests' installations; a passphrase is unwrapped with scrypt and would slow every process. */
export const testKey = 'c0ffee00112233445566778899aabbccddeeff102132435465768798a9bacbdc'

/** A whole installation for one test: database, Redis, directories, worker processes. */
export interface Installation extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>
  readonly config: Config
  readonly database: TestDatabase
  readonly redis: TestRedis
  readonly queues: Queues
  readonly storage: Storage
  readonly source: string
  /** Starts a worker process, held at `place` if one is named, and waits until it serves. */
  startWorker(place?: string): Promise<WorkerProcess>
  /** Starts a producer process, which looks every half second. */
  startProducer(): Promise<WorkerProcess>
  /** Starts another program of this directory, and waits until it says that it is ready. */
  startProgram(program: string, ...args: string[]): Promise<WorkerProcess>
  /** Asks for a run, as if it were `at` (default: now), and gives its id. */
  request(at?: Date): Promise<string>
  /** Waits until the run's job has ended, at most `limit` ms (default: a minute), and gives it. */
  ended(run: string, limit?: number): Promise<Job>
  report(run: string): Promise<RunReport | undefined>
  /** What is left in the spool. */
  spoolRuns(): Promise<string[]>
}

export interface WorkerProcess extends AsyncDisposable {
  readonly process: ChildProcess
  /** Resolves when the worker stands at the place where it is held. */
  readonly held: Promise<void>
  kill(signal: NodeJS.Signals): Promise<void>
}

type Variables = Readonly<Record<string, string>>

/**
 * Starts one, whose database is on the shared server unless another is named. Jobs of a killed worker are taken over after
 * about two seconds, and retried after 0.1 s.
 * @param own a Redis in place of an ordinary one; the installation ends it
 */
export async function startInstallation(
  extra: Variables | ((database: TestDatabase) => Promise<Variables>) = {},
  on?: Access,
  own?: TestRedis,
): Promise<Installation> {
  const [database, redis, directory] = await Promise.all([
    createDatabase(on),
    own ?? startRedis(),
    temporaryDirectory(),
  ])
  const env: Record<string, string> = {
    DATABASE_URL: database.url,
    BACKUP_SOURCE: 'shop',
    REDIS_URL: redis.url,
    BACKUP_DIR: directory.join('backups'),
    BACKUP_ENCRYPTION: 'true',
    BACKUP_ENCRYPTION_KEY: testKey,
    WORKER_LOCK_DURATION: '1500',
    WORKER_STALLED_INTERVAL: '1000',
    WORKER_RETRY_DELAY: '100',
    ...(typeof extra === 'function' ? await extra(database) : extra),
  }
  const config = loadConfig({ env, directory: directory.path, needs: ['redis'] })
  const [destination] = config.destinations
  if (config.redis === undefined || destination === undefined) throw new Error('incomplete configuration')
  const connection = await connectOrFail(config.redis)
  const queues = new Queues(connection, config.worker.retryDelay)
  const storage = openStorageForReading(destination)
  const source = requireSource(config).name
  const workers: WorkerProcess[] = []
  return {
    env,
    config,
    database,
    redis,
    queues,
    storage,
    source,
    async startWorker(place) {
      const worker = await startProcess(
        'held-worker.ts',
        env,
        directory.path,
        place === undefined ? [] : [place],
      )
      workers.push(worker)
      return worker
    },
    async startProducer() {
      const producer = await startProcess('producer-process.ts', env, directory.path)
      workers.push(producer)
      return producer
    },
    async startProgram(program, ...args) {
      const started = await startProcess(program, env, directory.path, args)
      workers.push(started)
      return started
    },
    async request(at = new Date()) {
      const { run } = await requestRun(queues, newRunId(source, at), {
        v: 1,
        source,
        requestedBy: 'test',
        requestedAt: at.toISOString(),
        options: {},
      })
      return run
    },
    ended: (run, limit) => waitForEnd(queues, run, limit),
    report: (run) => readReport(storage, source, run, new KeyRing(config.keys)),
    spoolRuns: () => readdir(join(config.spool.directory, 'runs')),
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((worker) => worker.kill('SIGKILL')))
      await queues.close()
      connection.disconnect()
      await redis.stop()
      await database.drop()
      await directory.remove()
    },
  }
}

async function startProcess(
  program: string,
  env: Readonly<Record<string, string>>,
  directory: string,
  args: readonly string[] = [],
): Promise<WorkerProcess> {
  const child = fork(fileURLToPath(new URL(program, import.meta.url)), args, {
    env: { ...inherited(), ...env, NODE_COMPILE_CACHE: join(tmpdir(), 'compiled') },
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const at = (name: string) =>
    new Promise<void>((resolve, reject) => {
      child.on('message', (message: { at: string }) => {
        if (message.at === name) resolve()
      })
      child.once('exit', () => {
        reject(new Error(`the process ended before it was at ${name}:\n${said}`))
      })
    })
  const held = at(args[0] ?? 'nowhere')
  held.catch(() => undefined)
  await at('ready')
  const kill = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }
  return { process: child, held, kill, [Symbol.asyncDispose]: () => kill('SIGKILL') }
}

/** What a child needs of the test run's own environment: nothing that configures the product. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'SECURYFLEX_TEST_RUN', 'SECURYFLEX_TEST_DIR']
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  )
}

async function waitForEnd(queues: Queues, run: string, limit = 60_000): Promise<Job> {
  // Counted in looks: a machine that stands still does not look.
  for (let looks = 0; ; looks += 1) {
    const state = await queues.get('run').getJobState(run)
    if (state === 'completed' || state === 'failed') return (await queues.get('run').getJob(run)) as Job
    if (looks * 25 > limit)
      throw new Error(`${run} is ${state} after ${String(limit)} ms: ${await describeJobs(queues)}`)
    await wait(25)
  }
}

async function describeJobs(queues: Queues): Promise<string> {
  const names = [
    'run',
    'dump',
    'compress',
    'encrypt',
    'upload-local',
    'seal',
    'verify',
    'prune',
    'notify',
    'copy',
    'scrub',
  ]
  const counts = await Promise.all(
    names.map(async (name) => [name, await queues.byName(name).getJobCounts()] as const),
  )
  return JSON.stringify(Object.fromEntries(counts))
}
