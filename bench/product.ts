import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Config, loadConfig } from '@securyflex/shared/config'
import { childEnvironment, tiedToParent } from '@securyflex/shared/postgres'
import { connectOrFail, type DumpResult, jobIds, Queues, requestRun } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { memorySettings } from '@securyflex/shared/segments'
import { startRedis } from '../test/helpers/redis.ts'
import { bytesBelow, type Peaks, watch } from './measure.ts'
import type { Stage } from './stage.ts'

/** This product, new: an empty repository, its own Redis, worker processes; all as it comes, encryption on. */
export interface Installation extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>
  readonly config: Config
  readonly queues: Queues
  readonly workers: readonly ChildProcess[]
  /** Starts another of its programs; it ends with the installation. */
  start(program: Program): Promise<ChildProcess>
  /** Backs `source` up once and waits for the run's end. */
  backup(source?: string): Promise<Backup>
  /** Asks for a backup of each at once, and waits for the end of all. */
  backUpAll(sources: readonly string[]): Promise<readonly Backup[]>
  /** Bytes of everything in the repository: segments, manifests, reports, keys. */
  stored(): number
  /** What the first worker, its client tools and the spool came to so far. */
  peaks(): Peaks
}

/** One run. Times in seconds. */
export interface Backup {
  readonly run: string
  /** From the request to the sealed manifest. */
  readonly seconds: number
  readonly verifySeconds: number
}

/** A program that is run as a process of its own. */
export interface Program {
  /** Relative to this file. */
  readonly file: string
  readonly args?: readonly string[]
  /** What it says once it serves; without one it is not waited for. */
  readonly serves?: string
}

/** A worker as it comes. */
const ordinaryWorker: Program = { file: '../apps/worker/src/main.ts', serves: 'Serving all steps' }

/**
 * Starts Redis and workers and waits until they serve. `more` are settings. Its files stay until the stage is struck:
 * ext4 leaves the place of a removed file alone for minutes, and looks at each such place for every file that is created,
 * so that one round would pay for the removal of what the round before had stored.
 */
export async function install(
  stage: Stage,
  more: Readonly<Record<string, string>> = {},
  { worker = ordinaryWorker, workers: many = 1 }: { worker?: Program; workers?: number } = {},
): Promise<Installation> {
  const stack = new AsyncDisposableStack()
  try {
    const directory = await stage.room('installation')
    const redis = stack.use(await startRedis())
    const env = {
      ...childEnvironment(),
      DATABASE_URL: stage.url(),
      REDIS_URL: redis.url,
      BACKUP_DIR: join(directory, 'backups'),
      BACKUP_ENCRYPTION: 'true',
      BACKUP_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
      // Reported apart.
      BACKUP_FINGERPRINT: 'off',
      ...more,
    }
    const config = loadConfig({ env, directory, needs: ['redis'] })
    if (config.redis === undefined) throw new Error('There is no Redis.')
    const connection = stack.adopt(await connectOrFail(config.redis), (open) => {
      open.disconnect()
    })
    const queues = stack.adopt(new Queues(connection, config.worker.retryDelay), (open) => open.close())
    const start = async (program: Program) =>
      stack.adopt(await startProgram(stage, env, program), stopProgram)
    const workers: ChildProcess[] = []
    while (workers.length < many) workers.push(await start(worker))
    const watched = stack.adopt(watch(workers[0]?.pid ?? 0, config.spool.directory), (watching) => {
      watching.stop()
    })
    return {
      env,
      config,
      queues,
      workers,
      start,
      backup: async (source = config.sources[0]?.name ?? '') =>
        resultOf(queues, await backUp(queues, source)),
      // What came of them is asked for in the end: it takes nothing from those that are under way.
      backUpAll: async (sources) => {
        const ended = await Promise.all(sources.map((source) => backUp(queues, source)))
        return Promise.all(ended.map((one) => resultOf(queues, one)))
      },
      stored: () => bytesBelow(join(config.directory, 'repository')),
      peaks: () => watched.peaks(),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** Runs a command of the product as a process of its own. @returns its output */
export async function command({ env, config }: Installation, args: readonly string[]): Promise<string> {
  const main = fileURLToPath(new URL('../apps/cli/src/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main, ...args], { env: { ...env }, cwd: config.directory })
  let [said, complained] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complained += text))
  const [status] = (await once(child, 'close')) as [number | null]
  if (status !== 0)
    throw new Error(`${args.join(' ')} failed with status ${String(status)}: ${complained.trim()}`)
  return said
}

async function startProgram(
  { options }: Stage,
  env: Readonly<Record<string, string>>,
  { file, args = [], serves }: Program,
): Promise<ChildProcess> {
  const profile = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]
  const path = fileURLToPath(new URL(file, import.meta.url))
  const [program, ...rest] = tiedToParent('KILL', [process.execPath, ...profile, path, ...args])
  const child = spawn(program, rest, {
    env: { ...memorySettings, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const said: string[] = []
  const lines = createInterface({ input: child.stderr })
  await new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      said.push(line)
      if (said.length > 20) said.shift()
      if (serves !== undefined && line.includes(serves)) resolve()
    })
    child.once('exit', () => {
      reject(new Error(`${file} ended: ${said.join('\n')}`))
    })
    if (serves === undefined) resolve()
  })
  return child
}

async function stopProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}

/** A run that has ended, and when it was asked for. */
interface Ended {
  readonly run: string
  readonly at: Date
}

async function backUp(queues: Queues, source: string): Promise<Ended> {
  const at = new Date()
  const { run } = await requestRun(queues, newRunId(source, at), {
    v: 1,
    source,
    requestedBy: 'bench',
    requestedAt: at.toISOString(),
    options: {},
  })
  await untilEnded(queues, run)
  return { run, at }
}

async function resultOf(queues: Queues, { run, at }: Ended): Promise<Backup> {
  const dump = (await queues.get('dump').getJob(jobIds.dump(run, 0, 1))) as
    { returnvalue: DumpResult } | undefined
  if (dump === undefined) throw new Error(`${run} has no dump.`)
  const id = jobIds.destination(run, dump.returnvalue.attempt, 'local')
  const [seal, verify] = await Promise.all([queues.get('seal').getJob(id), queues.get('verify').getJob(id)])
  if (seal?.finishedOn === undefined || verify?.finishedOn === undefined)
    throw new Error(`${run} was not sealed.`)
  return {
    run,
    seconds: (seal.finishedOn - at.getTime()) / 1000,
    verifySeconds: (verify.finishedOn - (verify.processedOn ?? 0)) / 1000,
  }
}

/** Between two looks, in ms; the times themselves are those of the queue. */
const interval = 200

/** Waits for a run's end. Those who wait at once look together, so that waiting costs Redis the same for any number. */
async function untilEnded(queues: Queues, run: string): Promise<void> {
  const ended = new Promise<void>((resolve, reject) => {
    waiting.set(run, { resolve, reject })
  })
  looking ??= look(queues).finally(() => (looking = undefined))
  await ended
}

let looking: Promise<void> | undefined
const waiting = new Map<string, { resolve: () => void; reject: (error: unknown) => void }>()

async function look(queues: Queues): Promise<void> {
  const runs = queues.get('run')
  let [completed, failed] = [0, 0]
  try {
    while (waiting.size > 0) {
      const counts = await runs.getJobCounts('completed', 'failed')
      const [done, lost] = [counts['completed'] ?? 0, counts['failed'] ?? 0]
      // Those that ended last come first, also those that ended since they were counted. There may be fewer than before,
      // when old ones have expired.
      const since = waiting.size
      if (done !== completed)
        for (const id of await runs.getRanges(['completed'], 0, newOnes(done, completed) + since))
          settle(id, undefined)
      if (lost !== failed)
        for (const { id, failedReason } of await runs.getFailed(0, newOnes(lost, failed) + since))
          settle(id, new Error(failedReason))
      ;[completed, failed] = [done, lost]
      await wait(interval)
    }
  } catch (error) {
    for (const run of waiting.keys()) settle(run, error)
  }
}

function newOnes(count: number, before: number): number {
  return count > before ? count - before : count
}

function settle(run: string | undefined, error: unknown): void {
  const one = waiting.get(run ?? '')
  if (run === undefined || one === undefined) return
  waiting.delete(run)
  if (error === undefined) one.resolve()
  else one.reject(error)
}
