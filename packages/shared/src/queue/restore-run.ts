import { Job } from 'bullmq'
import { prefix, queueName } from './names.ts'
import { parsePayload, type Payloads } from './payloads.ts'
import type { Queues } from './queues.ts'

/** A run that is over, as far as its job in the queue would tell. */
export interface EndedRun {
  readonly run: string
  readonly request: Payloads['run']
  readonly startedAt: Date
  readonly finishedAt: Date
  /** How often it was retried. */
  readonly generation: number
  /** What its job returned, or why it failed. */
  readonly came: { readonly result: object } | { readonly failure: string }
}

/**
 * Puts the record of an ended job where BullMQ keeps them, unless a job of that id is there: that one is newer, or
 * the same. One script, so that a run which is asked for or retried meanwhile is not touched. It tells no worker
 * anything: an ended job is nobody's work. The fields are those of BullMQ's own scripts; a test compares them.
 *
 * KEYS: the job, the jobs that ended like it, the job's log. ARGV: its id, the end in ms, a line for its log, and the
 * job's fields.
 */
const restoreJob = `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[3])
return 1
`

/**
 * Restores the job of an ended run in the queue's history: Bull Board shows it, and `retry` finds it if it failed.
 * Nothing is executed. Doing it twice is doing it once.
 * @param remark stands in the job's log
 * @returns false if a job of this id is there
 */
export async function restoreRun(queues: Queues, ended: EndedRun, remark: string): Promise<boolean> {
  const { run, request, finishedAt, came } = ended
  const queue = queues.get('run')
  const payload = parsePayload('run', request)
  const options = queues.optionsOf('run', run, { deduplication: { id: request.source }, delay: 0 })
  const { opts } = new Job(queue, 'run', payload, options, run).asJSON()
  const own = `${prefix}:${queueName('run')}:${run}`
  const made = String(ended.generation + 1)
  const fields = {
    name: 'run',
    data: JSON.stringify(payload),
    opts: JSON.stringify(opts),
    timestamp: String(Date.parse(request.requestedAt)),
    delay: '0',
    priority: '0',
    deid: request.source,
    processedOn: String(ended.startedAt.getTime()),
    finishedOn: String(finishedAt.getTime()),
    atm: made,
    ats: made,
    ...('result' in came
      ? { returnvalue: JSON.stringify(came.result) }
      : { failedReason: came.failure, stacktrace: JSON.stringify([came.failure]) }),
  }
  const set = `${prefix}:${queueName('run')}:${'result' in came ? 'completed' : 'failed'}`
  const done = await queues.redis.eval(
    restoreJob,
    3,
    ...[own, set, `${own}:logs`, run, String(finishedAt.getTime()), remark],
    ...Object.entries(fields).flat(),
  )
  return done === 1
}
