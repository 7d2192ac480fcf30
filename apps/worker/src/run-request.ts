import { BackupError } from '@securyflex/shared/errors'
import type { RunReport } from '@securyflex/shared/history'
import { parsePayload, type Payloads, pausedError, pauseOf, type Queues } from '@securyflex/shared/queue'
import { parseRunId } from '@securyflex/shared/repository'
import type { Job } from 'bullmq'

/** By how much the clock of who asks may be ahead of ours, in ms. */
const clocksDiffer = 60 * 60_000

/**
 * What a run's job asks for. Any program may add one, so all that the rest relies on is checked: the payload, the
 * id (it names files), and that BullMQ keeps a second run of the source away.
 * @throws PAYLOAD_INVALID; SOURCE_PAUSED for one that was added past the pause
 */
export async function readRequest({ redis }: Queues, job: Job, now: Date): Promise<Payloads['run']> {
  const request = parsePayload('run', job.data)
  const { source, plan } = request
  const id = job.id ?? ''
  if (parseRunId(id)?.source !== source) {
    throw malformed(
      `“${id}” is not the id of a run of ${source}`,
      `Give the job an id like ${source}.20261123T020000Z.3fa2 (time in UTC, any four hex digits).`,
    )
  }
  const { id: holds, ...more } = job.opts.deduplication ?? {}
  if (holds !== source || Object.keys(more).length > 0) {
    throw malformed(
      `the job ${id} does not keep a second run of ${source} away`,
      `Add it with deduplication: { id: '${source}' } and no other option of deduplication.`,
    )
  }
  if (plan !== undefined) {
    // How a run is made is settled when it is first taken, so it has been taken before.
    if (job.attemptsStarted <= 1)
      throw malformed(`the job ${id} brings a plan`, 'Leave out the field “plan”.')
    return request
  }
  refuseFuture(id, now)
  const pause = await pauseOf(redis, source)
  if (pause !== undefined && job.timestamp > Date.parse(pause.at)) throw pausedError(source, pause)
  return request
}

/** A backup of tomorrow would be the newest one until then. */
function refuseFuture(id: string, now: Date): void {
  const at = parseRunId(id)?.time
  if (at === undefined || at.getTime() - now.getTime() <= clocksDiffer) return
  throw malformed(
    `“${id}” is in the future, it is ${now.toISOString()} here`,
    'Put the present time, in UTC, into the id; if it does, set the clocks of both machines.',
  )
}

function malformed(what: string, hint: string): BackupError {
  return new BackupError('PAYLOAD_INVALID', `This is not a run's job: ${what}.`, { hint })
}

/** The report of a run that was refused before it began; undefined where its id does not say which one it is. */
export function refusedReport(
  job: Job,
  { code, message, hint }: BackupError,
  now: Date,
): RunReport | undefined {
  const run = job.id ?? ''
  const source = parseRunId(run)?.source
  if (source === undefined) return undefined
  return {
    format: 1,
    kind: 'run',
    run,
    source,
    outcome: 'failed',
    requestedBy: requesterOf(job.data) ?? 'unknown',
    requestedAt: new Date(job.timestamp).toISOString(),
    startedAt: now.toISOString(),
    finishedAt: now.toISOString(),
    code,
    reason: message,
    ...(hint === undefined ? {} : { hint }),
    destinations: [],
    notifications: [],
    warnings: [],
    overlaps: 0,
    generation: job.attemptsMade,
  }
}

/** Whoever the job names, if it names anybody. */
function requesterOf(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || !('requestedBy' in data)) return undefined
  return typeof data.requestedBy === 'string' ? data.requestedBy.slice(0, 100) : undefined
}
