import { asBackupError } from '@securyflex/shared/errors'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { recordAction } from './audit.ts'
import { prefix, queueName } from './names.ts'
import { parsePayload, type Payloads } from './payloads.ts'
import { pauseOf } from './pause.ts'
import type { Queues } from './queues.ts'

/** Source → the run that is to follow the one under way, however many asked for it. */
const key = `${prefix}:again`

const markSchema = z.object({ after: z.string(), run: z.string(), request: z.unknown() })

/** Removes a mark unless a newer one has taken its place. KEYS: marks. ARGV: source, the mark as it was read. */
const forgetMark = `
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
`

/** Notes that one more run of the request's source is wanted once `after` has ended. The newest request counts. */
export async function markAgain(
  queues: Queues,
  after: string,
  run: string,
  request: Payloads['run'],
): Promise<void> {
  await queues.redis.hset(key, request.source, JSON.stringify({ after, run, request }))
  // The run may have ended before the mark was there to be seen at its end.
  await requestAgain(queues, request.source)
}

/** Sources of which one more run is wanted. */
export async function markedSources(redis: Redis): Promise<string[]> {
  return redis.hkeys(key)
}

/**
 * Asks for the one more run of a source, if one is wanted and the run before it has ended. Calling it at any time,
 * from anywhere, any number of times makes one run.
 * @returns that run
 */
export async function requestAgain(queues: Queues, source: string): Promise<string | undefined> {
  const kept = await queues.redis.hget(key, source)
  if (kept === null) return undefined
  const { after, run, request } = markSchema.parse(JSON.parse(kept))
  const forget = () => queues.redis.eval(forgetMark, 1, key, source, kept)
  if (!(await hasEnded(queues, after))) return undefined
  const pause = await pauseOf(queues.redis, source)
  if (pause !== undefined) {
    await recordAction(queues.redis, { by: 'overlap', what: 'skip', subject: source, detail: 'it is paused' })
    await forget()
    return undefined
  }
  try {
    const wanted = parsePayload('run', request)
    const job = await queues.add('run', run, wanted, { deduplication: { id: source } })
    // Another run that has the place was asked for after `after` had ended: it is the one more.
    await forget()
    return job.id ?? run
  } catch (error) {
    if (asBackupError(error).code !== 'PAYLOAD_INVALID') throw error
    await recordAction(queues.redis, {
      by: 'overlap',
      what: 'refuse',
      subject: source,
      detail: asBackupError(error).message,
    })
    await forget()
    return undefined
  }
}

async function hasEnded({ redis }: Queues, run: string): Promise<boolean> {
  const job = `${prefix}:${queueName('run')}:${run}`
  return (await redis.exists(job)) === 0 || (await redis.hexists(job, 'finishedOn')) === 1
}
