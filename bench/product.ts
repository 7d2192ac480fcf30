import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Config, loadConfig } from '@securyflex/shared/config'
import { childEnvironment, tiedToParent } from '@securyflex/shared/postgres'
import { connectOrFail, type DumpResult, jobIds, Queues, requestRun } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { startRedis } from '../test/helpers/redis.ts'
import { bytesBelow, type Peaks, watch } from './measure.ts'
import type { Stage } from './stage.ts'

/** This product, new: an empty repository, its own Redis, one worker process; all as it comes, encryption on. */
export interface Installation extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>
  readonly config: Config
  readonly queues: Queues
  /** Backs `source` up once and waits for the run's end. */
  backup(source?: string): Promise<Backup>
  /** Bytes of everything in the repository: segments, manifests, reports, keys. */
  stored(): number
  /** What worker, client tools and spool came to so far. */
  peaks(): Peaks
}

/** One run. Times in seconds. */
export interface Backup {
  readonly run: string
  /** From the request to the sealed manifest. */
  readonly seconds: number
  readonly verifySeconds: number
}

const defaultWorker = '../apps/worker/src/main.ts'

/** Starts Redis and a worker and waits until it serves. `entry` is the worker's file, relative to this one. */
export async function install(
  stage: Stage,
  more: Readonly<Record<string, string>> = {},
  entry = defaultWorker,
): Promise<Installation> {
  const stack = new AsyncDisposableStack()
  try {
    const directory = await stage.room('installation')
    stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
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
    const worker = stack.adopt(await startWorker(stage, env, entry), stopWorker)
    const watched = stack.adopt(watch(worker.pid ?? 0, config.spool.directory), (watching) => {
      watching.stop()
    })
    return {
      env,
      config,
      queues,
      backup: (source = config.sources[0]?.name ?? '') => backup(queues, source),
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

async function startWorker(
  { options }: Stage,
  env: Readonly<Record<string, string>>,
  entry: string,
): Promise<ChildProcess> {
  const profile = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]
  const path = fileURLToPath(new URL(entry, import.meta.url))
  const [program, ...args] = tiedToParent('KILL', [process.execPath, ...profile, path])
  const child = spawn(program, args, { env: { ...env }, stdio: ['ignore', 'ignore', 'pipe'] })
  const said: string[] = []
  const lines = createInterface({ input: child.stderr })
  await new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      said.push(line)
      if (said.length > 20) said.shift()
      if (line.includes('Serving all steps')) resolve()
    })
    child.once('exit', () => {
      reject(new Error(`The worker ended: ${said.join('\n')}`))
    })
  })
  return child
}

async function stopWorker(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}

async function backup(queues: Queues, source: string): Promise<Backup> {
  const at = new Date()
  const { run } = await requestRun(queues, newRunId(source, at), {
    v: 1,
    source,
    requestedBy: 'bench',
    requestedAt: at.toISOString(),
    options: {},
  })
  await untilEnded(queues, run)
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
const interval = 50

/** Waits for a run's end. Those who wait at once look together, so that waiting costs Redis the same for any number. */
async function untilEnded(queues: Queues, run: string): Promise<void> {
  const ended = new Promise<void>((resolve, reject) => {
    waiting.set(run, { resolve, reject })
  })
  if (waiting.size === 1) void look(queues)
  await ended
}

const waiting = new Map<string, { resolve: () => void; reject: (error: unknown) => void }>()

async function look(queues: Queues): Promise<void> {
  const runs = queues.get('run')
  let [completed, failed] = [0, 0]
  try {
    while (waiting.size > 0) {
      const counts = await runs.getJobCounts('completed', 'failed')
      const [done, lost] = [counts['completed'] ?? 0, counts['failed'] ?? 0]
      // Those that ended last come first.
      if (done > completed)
        for (const { id } of await runs.getCompleted(0, done - completed - 1)) settle(id, undefined)
      if (lost > failed)
        for (const job of await runs.getFailed(0, lost - failed - 1))
          settle(job.id, new Error(job.failedReason))
      ;[completed, failed] = [done, lost]
      await wait(interval)
    }
  } catch (error) {
    for (const run of waiting.keys()) settle(run, error)
  }
}

function settle(run: string | undefined, error: unknown): void {
  const one = waiting.get(run ?? '')
  if (run === undefined || one === undefined) return
  waiting.delete(run)
  if (error === undefined) one.resolve()
  else one.reject(error)
}
