import type { BeforeHook, BullBoardRequest } from '@bull-board/api/typings/app'
import { queueName } from '@securyflex/shared/queue'

const refusals = {
  schedule:
    'The schedule’s next job is not touched from here: tonight’s backup would be gone. Schedules follow BACKUP_CRON and BACKUP_TIMEZONE; for a backup now, type: npm run backup',
  finished:
    'Only what failed is retried; a backup that is done stays as it is. For a new one, type: npm run backup',
  retryAll:
    'Retry them one by one: all failures of the last 30 days would start over together. Retrying a run retries all of its steps.',
  pause:
    'Pausing this queue stops backups half-way, while they hold the database’s snapshot. Pause “dump” instead: new dumps wait, and what has begun is finished.',
  remove:
    'Jobs are not removed by hand: a run waits for its steps, and a step looks for the ones before and after it. Old ones go by themselves, failed ones after 30 days.',
  add: 'Backups are asked for with: npm run backup',
  other: 'The board does not change this, because a backup under way could not survive it.',
}

/** Why a change is refused; undefined if it may be made. */
type Judge = (request: BullBoardRequest) => Promise<string | undefined> | string | undefined

/**
 * What may be changed from the board, by method and route of Bull Board 9.10. Everything that is not here is
 * refused, so that a route of a later version is refused until somebody has thought about it.
 */
const changes: Readonly<Record<string, Judge>> = {
  'put /api/queues/:queueName/:jobId/retry': (request) => onSchedule(request) ?? unlessFailed(request),
  // What waits for its next attempt may be tried at once.
  'put /api/queues/:queueName/:jobId/promote': (request) => onSchedule(request) ?? ofScheduler(request),
  'put /api/queues/:queueName/promote': onSchedule,
  'put /api/queues/:queueName/pause': (request) =>
    namedQueue(request) === queueName('dump') ? undefined : refusals.pause,
  'put /api/queues/:queueName/resume': () => undefined,
  'put /api/queues/resume': () => undefined,

  'put /api/queues/:queueName/retry/:queueStatus': () => refusals.retryAll,
  'put /api/queues/pause': () => refusals.pause,
  'put /api/queues/:queueName/:jobId/clean': () => refusals.remove,
  'put /api/queues/:queueName/clean/:queueStatus': () => refusals.remove,
  'put /api/queues/:queueName/empty': () => refusals.remove,
  'put /api/queues/:queueName/obliterate': () => refusals.remove,
  'put /api/queues/:queueName/:jobId/remove-unprocessed-children': () => refusals.remove,
  'post /api/queues/:queueName/add': () => refusals.add,
  'put /api/queues/:queueName/job-schedulers/:schedulerId/run': () => refusals.schedule,
  'put /api/queues/:queueName/job-schedulers/:schedulerId/remove': () => refusals.schedule,
  'patch /api/queues/:queueName/job-schedulers/:schedulerId': () => refusals.schedule,
}

/** Bull Board asks this before it handles a request; a refusal is answered with 403 and its sentence. */
export const judgeChange: BeforeHook = async ({ method, route, request }) => {
  if (method === 'get') return { allow: true }
  const judge = changes[`${method} ${route}`] ?? (() => refusals.other)
  const message = await judge(request)
  return message === undefined ? { allow: true } : { allow: false, status: 403, message }
}

function onSchedule(request: BullBoardRequest): string | undefined {
  return namedQueue(request) === queueName('schedule') ? refusals.schedule : undefined
}

async function unlessFailed(request: BullBoardRequest): Promise<string | undefined> {
  const job = await jobOf(request)
  return job === undefined || (await job.getState()) === 'failed' ? undefined : refusals.finished
}

async function ofScheduler(request: BullBoardRequest): Promise<string | undefined> {
  return (await jobOf(request))?.repeatJobKey === undefined ? undefined : refusals.schedule
}

/** Undefined for a job that is not there, of which Bull Board itself says so. */
async function jobOf(request: BullBoardRequest) {
  const job = await request.queues.get(namedQueue(request))?.getJob(String(request.params['jobId']))
  return job ?? undefined
}

function namedQueue(request: BullBoardRequest): string {
  return String(request.params['queueName'])
}
