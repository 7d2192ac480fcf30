import { leavesOut, memberOf, type Source, type SourceGroup } from '@securyflex/shared/config'
import { asBackupError, BackupError, describe, redact } from '@securyflex/shared/errors'
import type { RunReport } from '@securyflex/shared/history'
import { composeMessage } from '@securyflex/shared/notify'
import { type FoundDatabases, listDatabases } from '@securyflex/shared/postgres'
import { isCancelled, jobIds, type Payloads, requestRun, requestSlot } from '@securyflex/shared/queue'
import { spreadOf } from '@securyflex/shared/schedule'
import { DelayedError, type Job, UnrecoverableError } from 'bullmq'
import type { WorkerContext } from './context.ts'
import { failureText } from './failure.ts'

/** How often a server that does not answer is asked; the waits between double from the retry delay. */
const mostTries = 5

/** The run of a group that is under way. */
export interface GroupRun {
  readonly context: WorkerContext
  readonly job: Job
  readonly token: string
  readonly signal: AbortSignal
  readonly group: SourceGroup
  readonly request: Payloads['run']
  /** Writes a report to every store. */
  readonly report: (content: RunReport) => Promise<void>
}

/** What the run of a group leaves in the queue. */
export interface GroupResult {
  /** `degraded` if the role may not connect to some database that is not left out. */
  readonly outcome: 'success' | 'degraded'
  readonly bytes: 0
  readonly destinations: []
  /** The runs that now stand for the group's databases. */
  readonly runs: readonly string[]
}

/**
 * The run of a group looks up which databases its server has and asks for a run of each. Doing it twice asks once.
 * Its report says what came of that; the runs have reports of their own.
 * @throws DelayedError while the server does not answer; UnrecoverableError when it is given up
 */
export async function runGroup(run: GroupRun): Promise<GroupResult> {
  const { context, job } = run
  const startedAt = context.clock()
  try {
    await refuseIfCancelled(run)
    const { members, warnings } = await lookUp(run)
    // What nobody backs up must not look like a success.
    const outcome = warnings.length === 0 ? 'success' : 'degraded'
    const asked = { runs: [] as string[], warnings: [...warnings] }
    for (const member of members) await ask(run, member, asked)
    await context.passed('run:asked')
    const report = reportOf(run, startedAt, { outcome, ...asked })
    await run.report(report)
    if (outcome === 'degraded') await tell(run, report)
    context.logger.info(`Asked for the backups of ${String(asked.runs.length)} databases.`, { run: job.id })
    return { outcome, bytes: 0, destinations: [], runs: asked.runs }
  } catch (error) {
    run.signal.throwIfAborted()
    const known = asBackupError(error)
    if (known.class === 'transient' && triesOf(job) + 1 < mostTries) throw await tryAgain(run, known)
    throw await giveUp(run, startedAt, known)
  }
}

async function refuseIfCancelled({ context, job }: GroupRun): Promise<void> {
  if (!(await isCancelled(context.queues.redis, job.id ?? ''))) return
  throw new BackupError('CANCELLED', 'The run was cancelled.')
}

/** The databases to back up, and what a person should know of the others. */
async function lookUp({ group, signal }: GroupRun): Promise<{ members: Source[]; warnings: string[] }> {
  const found: FoundDatabases = await listDatabases(group.connection, signal)
  const wanted = (names: readonly string[]) => names.filter((name) => !leavesOut(group, name))
  const members = wanted(found.open).map((name) => memberOf(group, name))
  const closed = wanted(found.closed)
  if (members.length === 0) {
    throw new BackupError('DATABASE_REFUSED', `The server of ${group.name} has no database to back up.`, {
      hint: 'Compare exclude.databases with what psql -l lists, and with the databases that the role may connect to.',
    })
  }
  return { members, warnings: closed.map((name) => notLetIn(group, name)) }
}

function notLetIn({ connection: { user } }: SourceGroup, database: string): string {
  return `The database “${database}” is not backed up: the role "${user}" may not connect to it (GRANT CONNECT, or exclude.databases).`
}

/** Asks for one database's run, whose id is the group's run's with another name. */
async function ask(
  { context, job, group, request }: GroupRun,
  member: Source,
  asked: { runs: string[]; warnings: string[] },
): Promise<void> {
  const { queues, clock } = context
  const { slot, requestedBy, requestedAt, options } = request
  const id = `${member.name}${(job.id ?? '').slice(request.source.length)}`
  const wanted = {
    v: 1 as const,
    ...{ source: member.name, database: member.connection.database, requestedBy, requestedAt, options },
  }
  const due = slot === undefined ? 0 : new Date(slot).getTime() + spreadOf(member.name, member)
  const asking = { delay: Math.max(0, due - clock().getTime()), overlap: group.overlap }
  try {
    const requested = await (slot === undefined
      ? requestRun(queues, id, wanted, asking)
      : requestSlot(queues, id, { ...wanted, slot }, asking))
    if (requested === undefined) asked.warnings.push(`${member.name} is paused.`)
    else asked.runs.push(requested.run)
    if (requested?.accepted === false && !requested.again) {
      asked.warnings.push(`${member.name} was skipped: ${requested.run} is under way.`)
    }
  } catch (error) {
    const known = asBackupError(error)
    if (known.code !== 'SOURCE_PAUSED') throw error
    asked.warnings.push(known.message)
  }
}

function triesOf({ progress }: Job): number {
  return typeof progress === 'object' && 'tries' in progress ? Number(progress.tries) : 0
}

/** Gives the worker's slot back and has the run look again later, at no attempt's cost. */
async function tryAgain({ context, job, token }: GroupRun, error: BackupError): Promise<DelayedError> {
  const tries = triesOf(job) + 1
  await job.updateProgress({ tries, waitsFor: redact(error.message) })
  context.logger.warn(
    `${error.message} It is tried again (${String(tries)} of ${String(mostTries)} failed).`,
    {
      run: job.id,
    },
  )
  await job.moveToDelayed(Date.now() + context.config.worker.retryDelay * 2 ** (tries - 1), token)
  return new DelayedError()
}

/** Nothing of the group is backed up: that stands in the history, and is told, like any run that failed. */
async function giveUp(run: GroupRun, startedAt: Date, error: BackupError): Promise<UnrecoverableError> {
  const { job, group } = run
  const outcome = error.code === 'CANCELLED' ? 'cancelled' : 'failed'
  const told = {
    outcome,
    code: error.code,
    reason: `The databases of ${group.name} could not be looked up, and none is backed up: ${describe(error)}`,
  } as const
  const report = reportOf(run, startedAt, { runs: [], warnings: [], ...told })
  await run.report(report)
  await tell(run, report)
  // A run that is retried by hand begins to count anew.
  await job.updateProgress({})
  const text = redact(failureText(error))
  return Object.assign(new UnrecoverableError(text), { stack: text })
}

/** Announces how the run of a group ended. */
async function tell({ context, job, group, request }: GroupRun, report: RunReport): Promise<void> {
  const message = { ...composeMessage(report) }
  for (const channel of group.channels) {
    const id = jobIds.notify(job.id ?? '', job.attemptsMade, channel)
    const payload = { v: 1 as const, run: job.id ?? '', source: request.source, channel, message }
    await context.queues.add('notify', id, payload)
  }
}

function reportOf(
  { context, job, request }: GroupRun,
  startedAt: Date,
  came: Pick<RunReport, 'outcome' | 'code' | 'reason' | 'runs' | 'warnings'>,
): RunReport {
  return {
    format: 1,
    kind: 'run',
    run: job.id ?? '',
    source: request.source,
    requestedBy: request.requestedBy,
    requestedAt: request.requestedAt,
    startedAt: startedAt.toISOString(),
    finishedAt: context.clock().toISOString(),
    destinations: [],
    notifications: [],
    overlaps: 0,
    generation: job.attemptsMade,
    ...came,
  }
}
