import { setTimeout as wait } from 'node:timers/promises'
import { type Config, type RedisAddress, type Step, steps } from '@securyflex/shared/config'
import { asBackupError, type BackupError, codes, type ErrorCode } from '@securyflex/shared/errors'
import { readReport, type RunReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { connectOrFail, jobIds, Queues, waitOf } from '@securyflex/shared/queue'
import { parseRunId } from '@securyflex/shared/repository'
import { openStorageForReading } from '@securyflex/shared/storage'
import { z } from 'zod'

/** How a run stands while it is under way. */
export interface RunState {
  /** Steps that have jobs to do, in the order of the way; empty while the run waits for a worker. */
  readonly steps: readonly Step[]
  /** What it waits for, in words that go on after “waiting for”; undefined while something is done. */
  readonly waitsFor?: string | undefined
  /** Bytes read from the database so far, of all streams. */
  readonly read: number
  /** Of these, bytes that the destination did not have yet. */
  readonly fresh: number
}

/** How a run came out. */
export interface RunEnd {
  readonly run: string
  readonly outcome: 'success' | 'degraded' | 'failed' | 'cancelled'
  readonly code: ErrorCode | undefined
  /** Why it did not succeed, with the remedy where one is known. */
  readonly reason: string | undefined
  /** Bytes read from the database. */
  readonly bytes: number
  /** What was added, by destination. */
  readonly destinations: readonly {
    readonly name: string
    readonly outcome: string
    readonly stored?: { readonly segments: number; readonly bytes: number } | undefined
  }[]
  /** Seconds that it took in all; undefined if its report cannot be read here. */
  readonly seconds: number | undefined
  readonly warnings: readonly string[]
  /** Of a group's run: those of its databases that it asked for. */
  readonly runs?: readonly string[] | undefined
}

/** Between two looks, in ms. */
const interval = 200
/** How long Redis may be away, in ms; the service starts its own again within seconds. */
const redisPatience = 30_000

/**
 * Looks at a run until it has ended.
 * @param onState called with each look
 * @throws REDIS_UNREACHABLE if Redis stays away and no report tells the end; the signal's reason when aborted
 */
export async function followRun(
  config: Config,
  address: RedisAddress,
  run: string,
  onState: (state: RunState) => void,
  signal?: AbortSignal,
): Promise<RunEnd> {
  let awaySince: number | undefined
  for (;;) {
    try {
      return await followOverOneConnection(config, address, run, signal, (state) => {
        awaySince = undefined
        onState(state)
      })
    } catch (error) {
      signal?.throwIfAborted()
      const known = asBackupError(error)
      if (known.code !== 'REDIS_UNREACHABLE' && !isConnectionLoss(error)) throw error
      // Whoever made the run may have stopped Redis right after its end.
      const told = endOfReport(await readAnyReport(config, run))
      if (told !== undefined) return told
      awaySince ??= performance.now()
      if (performance.now() - awaySince > redisPatience) throw known
      await wait(interval)
    }
  }
}

async function followOverOneConnection(
  config: Config,
  address: RedisAddress,
  run: string,
  signal: AbortSignal | undefined,
  onState: (state: RunState) => void,
): Promise<RunEnd> {
  const redis = await connectOrFail(address)
  const queues = new Queues(redis, config.worker.retryDelay)
  try {
    for (;;) {
      signal?.throwIfAborted()
      const end = await findEnd(config, queues, run)
      if (end !== undefined) return end
      onState(await findState(queues, run))
      await wait(interval, undefined, signal === undefined ? {} : { signal })
    }
  } finally {
    await queues.close()
    redis.disconnect()
  }
}

function isConnectionLoss(error: unknown): boolean {
  return (
    error instanceof Error &&
    /connection is closed|stream isn't writeable|ECONN|EPIPE|max retries/i.test(error.message)
  )
}

const runResult = z.object({
  outcome: z.enum(['success', 'degraded']),
  bytes: z.int(),
  destinations: z.array(
    z.object({
      name: z.string(),
      outcome: z.string(),
      stored: z.object({ segments: z.int(), bytes: z.int() }).optional(),
    }),
  ),
  runs: z.array(z.string()).optional(),
})

/** How the run came out; undefined while it is under way. */
async function findEnd(config: Config, queues: Queues, run: string): Promise<RunEnd | undefined> {
  const job = await queues.get('run').getJob(run)
  if (job !== undefined && !(await job.isCompleted()) && !(await job.isFailed())) return undefined
  const report = await readAnyReport(config, run)
  const told = endOfReport(report)
  if (told !== undefined) return told
  // The report is out of reach (another machine's store, another key); the job knows enough.
  const result = runResult.safeParse(job?.returnvalue)
  if (result.success) return { ...nothingKnown, run, ...result.data }
  return { ...nothingKnown, run, ...readFailure(job?.failedReason ?? 'The run was removed from the queue.') }
}

const nothingKnown = {
  code: undefined,
  reason: undefined,
  bytes: 0,
  destinations: [],
  seconds: undefined,
  warnings: [],
}

/** A failed job's text ends with its code in brackets. */
function readFailure(text: string): { outcome: 'failed' | 'cancelled'; code: ErrorCode; reason: string } {
  const [, reason = text, found = ''] = /^(.*) \[([A-Z_]+)\]$/s.exec(text) ?? []
  const code = found in codes ? (found as ErrorCode) : 'INTERNAL'
  return { outcome: code === 'CANCELLED' ? 'cancelled' : 'failed', code, reason }
}

/** The run's report at the first destination that has it and lets it be read. */
async function readAnyReport(config: Config, run: string): Promise<RunReport | undefined> {
  const source = parseRunId(run)?.source ?? ''
  const keys = new KeyRing(config.keys)
  for (const destination of config.destinations) {
    const report = await readReport(openStorageForReading(destination), source, run, keys).catch(unlessOurs)
    if (report !== undefined) return report
  }
  return undefined
}

/** A report that cannot be read here tells nothing; the queue does. */
function unlessOurs(error: unknown): undefined {
  const known: BackupError = asBackupError(error)
  if (known.code === 'INTERNAL') throw error
  return undefined
}

function endOfReport(report: RunReport | undefined): RunEnd | undefined {
  if (report === undefined || report.outcome === 'running') return undefined
  const { run, outcome, code, reason, hint, bytes = 0, destinations, durations, warnings, runs } = report
  const why = [reason, hint].filter((part) => part !== undefined).join(' ')
  return {
    run,
    outcome,
    code,
    reason: why === '' ? undefined : why,
    bytes,
    destinations: destinations.map(({ name, outcome, stored }) => ({ name, outcome, stored })),
    seconds: durations?.['total'],
    warnings,
    runs,
  }
}

type Job = NonNullable<Awaited<ReturnType<ReturnType<Queues['get']>['getJob']>>>

const dumpProgress = z.object({ bytes: z.number(), newBytes: z.number() })
/** Children of a run that have not ended; the spool's limit keeps them few. */
const mostChildren = 200

async function findState(queues: Queues, run: string): Promise<RunState> {
  const job = await queues.get('run').getJob(run)
  const { unprocessed = [] } =
    (await job?.getDependencies({ unprocessed: { count: mostChildren, cursor: 0 } })) ?? {}
  const busy = new Set(unprocessed.map((key) => key.split(':')[1]?.replace(/^upload-.*/, 'upload')))
  const dump = await latestDump(queues, run, job?.attemptsMade ?? 0)
  const progress = dumpProgress.safeParse(dump?.progress).data
  return {
    steps: steps.filter((step) => busy.has(step)),
    waitsFor: job === undefined ? undefined : await waitingFor(queues, job, dump),
    read: progress?.bytes ?? 0,
    fresh: progress?.newBytes ?? 0,
  }
}

/** Why a run does not begin, or its dump does not. */
async function waitingFor(queues: Queues, run: Job, dump: Job | undefined): Promise<string | undefined> {
  const limit = waitOf(run)
  if (limit !== undefined) return limit
  if ((run.data as { plan?: unknown }).plan === undefined) return noWorkerFor(queues, 'run')
  if (dump === undefined || dump.processedOn !== undefined || dump.finishedOn !== undefined) return undefined
  if (await queues.get('dump').isPaused()) return 'the queue “dump”, which somebody paused on the dashboard'
  return (await noWorkerFor(queues, 'dump')) ?? 'other dumps (WORKER_CONCURRENCY_DUMP)'
}

async function noWorkerFor(queues: Queues, step: 'run' | 'dump'): Promise<string | undefined> {
  return (await queues.get(step).getWorkersCount()) === 0 ? `a worker: none serves “${step}”` : undefined
}

/** A dump whose batches were lost is made again, at most twice. */
async function latestDump(queues: Queues, run: string, generation: number): Promise<Job | undefined> {
  for (const number of [3, 2, 1]) {
    const dump = await queues.get('dump').getJob(jobIds.dump(run, generation, number))
    if (dump !== undefined) return dump
  }
  return undefined
}
