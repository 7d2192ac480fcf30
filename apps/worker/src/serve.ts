import { setTimeout as delay } from 'node:timers/promises'
import type { Step } from '@securyflex/shared/config'
import { type Payloads, prefix, queueName, type RedisTarget } from '@securyflex/shared/queue'
import { repeatStrategy } from '@securyflex/shared/schedule'
import { type Processor, Worker } from 'bullmq'
import { runEnded } from './claim.ts'
import type { WorkerContext } from './context.ts'
import { resumeRun } from './resume.ts'
import type { StopReason } from './step.ts'

/** A crash of its worker costs a job no attempt; only this many in a row fail it. */
const maxStalledCount = 3
/**
 * A slot's run is asked for within milliseconds, and asking twice is asking once: a slot that a dead worker had taken is
 * taken over at once, however often that happens, and not when a dump's lock would have run out.
 */
const ofSlots = { lockDuration: 500, stalledInterval: 250, maxStalledCount: 1000 }
/** How long running jobs may go on after a shutdown was asked for, in ms. */
const gracePeriod = 10_000

/** How the workers of a process reach Redis. */
export interface Serving {
  readonly target: RedisTarget
  /** Hears the errors of their connections. */
  readonly heard: (error: Error) => void
}

/** A BullMQ worker and the jobs that it is doing. */
export interface Served {
  readonly worker: Worker
  /** The run of each, by job id. */
  readonly active: ReadonlyMap<string, string | undefined>
}

/** Starts taking the jobs of one queue. */
export function serve(
  current: () => WorkerContext,
  { target, heard }: Serving,
  step: Step,
  processor: Processor,
  destination?: string,
): Served {
  const { concurrency, lockDuration, stalledInterval } = current().config.worker
  const active = new Map<string, string | undefined>()
  const noted: Processor = async (job, token, signal): Promise<unknown> => {
    const id = job.id ?? ''
    active.set(id, (job.data as Partial<Payloads['dump']> | null)?.run)
    try {
      return await processor(job, token, signal)
    } finally {
      active.delete(id)
    }
  }
  const locks = step === 'schedule' ? ofSlots : { lockDuration, stalledInterval, maxStalledCount }
  const options = { prefix, concurrency: concurrency[step], ...locks }
  const connection = { ...target, maxRetriesPerRequest: null }
  // BullMQ hands a signal only to a processor that declares three parameters.
  const settings = { repeatStrategy }
  const worker = new Worker(queueName(step, destination), noted, { ...options, connection, settings })
  worker.on('error', heard)
  worker.on('lockRenewalFailed', (ids) => {
    for (const id of ids) worker.cancelJob(id, 'lock lost' satisfies StopReason)
  })
  worker.on('completed', (job) => {
    void resumeRun(current(), job)
    if (step === 'run') void runEnded(current(), job)
  })
  worker.on('failed', (job) => {
    if (step === 'run' && job !== undefined) void runEnded(current(), job)
  })
  return { worker, active }
}

/** Tells the running steps of one run, or of all, to stop. */
export function stopJobs(served: readonly Served[], reason: StopReason, run?: string): void {
  for (const { worker, active } of served) {
    if (reason === 'cancelled' && worker.name === queueName('notify')) continue
    for (const [id, belongsTo] of active) {
      if (run === undefined || belongsTo === run) worker.cancelJob(id, reason)
    }
  }
}

function forced(served: readonly Served[]): Promise<unknown> {
  return Promise.allSettled(served.map(({ worker }) => worker.disconnect()))
}

/** Takes no more jobs, lets running ones end within the grace period, and hands back those that do not. */
export async function shutDown(served: readonly Served[]): Promise<void> {
  const timer = setTimeout(() => {
    stopJobs(served, 'shutdown')
  }, gracePeriod)
  const closed = Promise.all(served.map(({ worker }) => worker.close()))
  // Without Redis nothing can be handed back: then the jobs' locks run out, and others take them.
  const given = await Promise.race([closed, delay(2 * gracePeriod, 'late' as const, { ref: false })])
  if (given === 'late') await Promise.race([forced(served), delay(gracePeriod, undefined, { ref: false })])
  clearTimeout(timer)
}
