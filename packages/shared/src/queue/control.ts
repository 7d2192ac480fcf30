import { type Config, findGroup, groupOf, requireSource } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import type { Job } from 'bullmq'
import { recordAction } from './audit.ts'
import { cancelRun } from './cancel.ts'
import { prefix, queueName } from './names.ts'
import { everything, listPauses, pausedError, pauseOf, resume } from './pause.ts'
import type { Queues } from './queues.ts'

/**
 * What `pause` and `resume` of a name mean: one source, all databases of a group, or everything without a name. What
 * is paused may be resumed also when it is configured no longer.
 * @throws SOURCE_UNKNOWN
 */
export async function pauseSubject(
  queues: Queues,
  config: Config,
  name: string | undefined,
): Promise<string> {
  if (name === undefined) return everything
  const paused = await listPauses(queues.redis)
  const known = paused.find(({ subject }) => subject === name || subject === `${name}-*`)
  if (known !== undefined) return known.subject
  if (findGroup(config, name) !== undefined) return `${name}-*`
  if (groupOf(config, name) === undefined) requireSource(config, name)
  return name
}

/**
 * Ends the pause of one source or group, or without a name every pause there is.
 * @returns what is backed up again, as {@link pauseSubject} names it
 * @throws SOURCE_UNKNOWN
 */
export async function endPauses(
  queues: Queues,
  config: Config,
  name: string | undefined,
  by: string,
): Promise<string[]> {
  const subjects =
    name === undefined
      ? (await listPauses(queues.redis)).map(({ subject }) => subject)
      : [await pauseSubject(queues, config, name)]
  const ended: string[] = []
  for (const subject of subjects) if (await resume(queues.redis, subject, by)) ended.push(subject)
  return ended
}

/** Has a run stop that waits or is under way. @throws BACKUP_NOT_FOUND if there is none, or it has ended */
export async function askCancel(queues: Queues, run: string, by: string): Promise<void> {
  const state = await (await findRun(queues, run)).getState()
  if (state === 'completed' || state === 'failed') {
    throw new BackupError('BACKUP_NOT_FOUND', `The run ${run} has ended already.`, {
      hint: 'See the runs that are under way with: npm run backup:status',
    })
  }
  await cancelRun(queues.redis, run)
  await recordAction(queues.redis, { by, what: 'cancel', subject: run })
}

/**
 * Has a failed run start over, under its id, with a new dump.
 * @throws BACKUP_NOT_FOUND; USAGE if it has not failed; SOURCE_PAUSED; DATABASE_BUSY if another run has its place
 */
export async function retryRun(queues: Queues, run: string, by: string): Promise<void> {
  const job = await findRun(queues, run)
  const state = await job.getState()
  if (state !== 'failed') {
    const how = state === 'completed' ? 'has succeeded' : 'is under way'
    throw new BackupError('USAGE', `The run ${run} ${how}, and only what failed is retried.`, {
      hint: 'For a new backup, type: npm run backup',
    })
  }
  const { source } = job.data as { source: string }
  const pause = await pauseOf(queues.redis, source)
  if (pause !== undefined) throw pausedError(source, pause)
  const holder = await queues.redis.get(`${prefix}:${queueName('run')}:de:${source}`)
  if (holder !== null && holder !== run) {
    throw new BackupError('DATABASE_BUSY', `Another run of ${source} is under way: ${holder}.`, {
      hint: `Wait for its end, or type: npx --no securyflex-backup cancel ${holder}`,
      class: 'user',
    })
  }
  await job.retry('failed')
  await recordAction(queues.redis, { by, what: 'retry', subject: run })
}

async function findRun(queues: Queues, run: string): Promise<Job> {
  const job = (await queues.get('run').getJob(run)) as Job | undefined
  if (job !== undefined) return job
  throw new BackupError('BACKUP_NOT_FOUND', `There is no run ${run} in the queue.`, {
    hint: 'See the runs that are under way with: npm run backup:status',
  })
}
