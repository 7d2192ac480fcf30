import type { SourceSettings } from '@securyflex/shared/config'
import type { Job } from 'bullmq'
import { markAgain } from './again.ts'
import { recordAction } from './audit.ts'
import { prefix, queueName } from './names.ts'
import { pausedError, pauseOf } from './pause.ts'
import type { Payloads } from './payloads.ts'
import type { Queues } from './queues.ts'

/** How long the record of an overlap is kept, in seconds. */
const keepOverlaps = 30 * 24 * 60 * 60

/** What became of a request. */
export interface Requested {
  /** The run that now stands for the request. */
  readonly run: string
  /** False if a run of the source was under way: that one's id is given, and the overlap is recorded with it. */
  readonly accepted: boolean
  /** Whether one more run follows the one under way, because the source's `overlap` is `again`. */
  readonly again?: true
}

/** How a run is asked for. */
export interface Asking {
  /** ms before it begins; default: 0 */
  readonly delay?: number
  /** What becomes of it while a run of the source is under way; default: `skip`. */
  readonly overlap?: SourceSettings['overlap']
}

/**
 * Asks for a run; one run of a source at a time, from its request to its end. Asking twice under one id is asking once.
 * @throws SOURCE_PAUSED
 */
export async function requestRun(
  queues: Queues,
  id: string,
  request: Payloads['run'],
  asking: Asking = {},
): Promise<Requested> {
  const pause = await pauseOf(queues.redis, request.source)
  if (pause !== undefined && (await queues.get('run').getJob(id)) === undefined) {
    throw pausedError(request.source, pause)
  }
  return addRun(queues, id, request, asking)
}

async function addRun(
  queues: Queues,
  id: string,
  request: Payloads['run'],
  { delay = 0, overlap = 'skip' }: Asking,
): Promise<Requested> {
  const job = await queues.add('run', id, request, { deduplication: { id: request.source }, delay })
  const run = job.id ?? id
  if (run === id) return { run, accepted: true }
  const holder = (await queues.get('run').getJob(run)) as Job | undefined
  await recordOverlap(queues, run, id, request)
  // A run that has not begun yet is what was asked for, be it that it waits for its minute in a spread schedule.
  if (holder !== undefined && !hasBegun(holder)) {
    if (delay === 0 && (await holder.isDelayed())) await promote(holder)
    return { run, accepted: false }
  }
  if (overlap === 'skip') return { run, accepted: false }
  await markAgain(queues, run, id, request)
  return { run, accepted: false, again: true }
}

/** Whether a worker has settled how the run is made. Any program may have added the job, with any data. */
export function hasBegun(run: Job): boolean {
  return (run.data as Partial<Payloads['run']> | null)?.plan !== undefined
}

async function promote(run: Job): Promise<void> {
  await run.promote().catch(async (error: unknown) => {
    // Its time had come meanwhile.
    if (await run.isDelayed()) throw error
  })
}

/** Longer than any producer stays away with a slot still to be asked for, in seconds. */
const keepSlots = 30 * 24 * 60 * 60

/**
 * Asks for the run of a schedule's slot. Whoever asks first gives the run its id; asking again, from anywhere,
 * is the same request, also when that run has ended.
 * @returns undefined if the source is paused: the slot is skipped, and that is recorded
 */
export async function requestSlot(
  queues: Queues,
  proposedId: string,
  request: Payloads['run'] & { readonly slot: string },
  asking: Asking = {},
): Promise<Requested | undefined> {
  const { source, slot } = request
  const pause = await pauseOf(queues.redis, source)
  if (pause !== undefined) {
    const detail = `the backup due at ${slot}, because of the pause by ${pause.by}`
    await recordAction(queues.redis, { by: request.requestedBy, what: 'skip', subject: source, detail })
    return undefined
  }
  const key = `${prefix}:slot:${source}:${slot}`
  // In one message: a fleet's slots come in the same second.
  const answers = await queues.redis.pipeline().set(key, proposedId, 'EX', keepSlots, 'NX').get(key).exec()
  for (const [failed] of answers ?? []) if (failed !== null) throw failed
  const id = answers?.at(-1)?.[1]
  return addRun(queues, typeof id === 'string' ? id : proposedId, request, asking)
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
