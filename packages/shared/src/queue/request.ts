import type { Job } from 'bullmq'
import type { Queues } from './queues.ts'
import type { Payloads } from './payloads.ts'
import { prefix, queueName } from './names.ts'

/** How long the record of an overlap is kept, in seconds. */
const keepOverlaps = 30 * 24 * 60 * 60

/** What became of a request. */
export interface Requested {
  /** The run that now stands for the request. */
  readonly run: string
  /** False if a run of the source was under way: that one's id is given, and the overlap is recorded with it. */
  readonly accepted: boolean
}

/**
 * Asks for a run; one run of a source at a time, from its request to its end.
 * @param delay ms before it begins
 */
export async function requestRun(
  queues: Queues,
  id: string,
  request: Payloads['run'],
  delay = 0,
): Promise<Requested> {
  const job = await queues.add('run', id, request, { deduplication: { id: request.source }, delay })
  const run = job.id ?? id
  if (run === id) return { run, accepted: true }
  // A run that only waits for its minute in a spread schedule is what was asked for.
  if (delay === 0 && (await queues.get('run').getJobState(run)) === 'delayed') {
    await queues
      .get('run')
      .getJob(run)
      .then((waiting: Job | undefined) => waiting?.promote())
  }
  await recordOverlap(queues, run, id, request)
  return { run, accepted: false }
}

/** Longer than any producer stays away with a slot still to be asked for, in seconds. */
const keepSlots = 30 * 24 * 60 * 60

/**
 * Asks for the run of a schedule's slot. Whoever asks first gives the run its id; asking again, from anywhere,
 * is the same request, also when that run has ended.
 */
export async function requestSlot(
  queues: Queues,
  proposedId: string,
  request: Payloads['run'] & { readonly slot: string },
  delay = 0,
): Promise<Requested> {
  const key = `${prefix}:slot:${request.source}:${request.slot}`
  await queues.redis.set(key, proposedId, 'EX', keepSlots, 'NX')
  return requestRun(queues, (await queues.redis.get(key)) ?? proposedId, request, delay)
}

async function recordOverlap(
  queues: Queues,
  run: string,
  id: string,
  request: Payloads['run'],
): Promise<void> {
  const key = overlapsKey(run)
  await queues.redis.hset(
    key,
    id,
    JSON.stringify({ requestedBy: request.requestedBy, at: request.requestedAt }),
  )
  await queues.redis.expire(key, keepOverlaps)
}

/** How many requests came while `run` was under way. */
export async function countOverlaps(queues: Queues, run: string): Promise<number> {
  return queues.redis.hlen(overlapsKey(run))
}

const overlapsKey = (run: string) => `${prefix}:overlaps:${run}`

/**
 * Takes the source's place again for a run that was retried, which BullMQ does not do itself.
 * @returns the run that holds it: `run`, or another one that must not be disturbed
 */
export async function reclaimSource(queues: Queues, source: string, run: string): Promise<string> {
  const key = `${prefix}:${queueName('run')}:de:${source}`
  await queues.redis.set(key, run, 'NX')
  return (await queues.redis.get(key)) ?? run
}
