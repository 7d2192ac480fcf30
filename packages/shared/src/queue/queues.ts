import type { Step } from '@securyflex/shared/config'
import { repeatStrategy } from '@securyflex/shared/schedule'
import { type Job, type JobsOptions, Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { prefix, queueName } from './names.ts'
import { parsePayload, type Payloads } from './payloads.ts'
import { jobOptions } from './policy.ts'

/**
 * As many of a queue's events are kept, more or less, for programs that listen. BullMQ's 10,000 would be what is left
 * of runs that have long expired.
 */
const keepEvents = 100

/** The queues of an installation over one connection, each opened when it is first needed. */
export class Queues {
  readonly redis: Redis
  readonly #retryDelay: number
  readonly #queues = new Map<string, Queue>()

  /** @param retryDelay wait before the second attempt of a job, in ms */
  constructor(redis: Redis, retryDelay: number) {
    this.redis = redis
    this.#retryDelay = retryDelay
  }

  get(step: Step, destination?: string): Queue {
    return this.byName(queueName(step, destination))
  }

  byName(name: string): Queue {
    const open = this.#queues.get(name)
    if (open !== undefined) return open
    // The connection is the caller's, who hears of its errors; it decides whether calls wait for Redis.
    const options = { connection: this.redis, prefix, skipWaitingForReady: true }
    const streams = { events: { maxLen: keepEvents } }
    const queue = new Queue(name, { ...options, streams, settings: { repeatStrategy } })
    queue.on('error', () => undefined)
    this.#queues.set(name, queue)
    return queue
  }

  /** Adds a job of `step` after checking its payload. */
  async add<S extends Step>(
    step: S,
    id: string,
    payload: Payloads[S],
    extra: JobsOptions = {},
    destination?: string,
  ): Promise<Job> {
    const data = parsePayload(step, payload)
    return this.get(step, destination).add(step, data, this.optionsOf(step, id, extra))
  }

  /** What a job of `step` is added with. */
  optionsOf(step: Step, id: string, extra: JobsOptions = {}): JobsOptions {
    return { ...jobOptions(step, this.#retryDelay), ...extra, jobId: id }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()))
  }
}

/** When `run` ended, in ms since 1970; undefined while it goes on, and of one that is not there. */
export async function endOf(queues: Queues, run: string): Promise<number | undefined> {
  const ended = await queues.redis.hget(queues.get('run').toKey(run), 'finishedOn')
  return ended === null ? undefined : Number(ended)
}

/** A run's children: the run waits for them, and judges their failures itself (docs/queues.md). */
export async function addChild<S extends Step>(
  queues: Queues,
  run: string,
  step: S,
  id: string,
  payload: Payloads[S],
  destination?: string,
): Promise<void> {
  // A child that exists is left alone: adding one that has failed again would be waited for without end.
  if ((await queues.redis.exists(queues.get(step, destination).toKey(id))) === 1) return
  const parent = { id: run, queue: `${prefix}:${queueName('run')}` }
  await queues.add(step, id, payload, { parent, ignoreDependencyOnFailure: true }, destination)
}
