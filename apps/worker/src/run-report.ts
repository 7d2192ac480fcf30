import type { Payloads } from '@securyflex/shared/queue'
import type { RunReport } from '@securyflex/shared/history'
import type { Judgement, Standing } from './run-plan.ts'

/** What a report is made of besides the judgement. */
export interface ReportInput {
  readonly run: string
  readonly request: Payloads['run']
  readonly plan: NonNullable<Payloads['run']['plan']>
  readonly generation: number
  readonly overlaps: number
}

/** The report of a run that has begun. */
export function beginReport({ run, request, plan, generation, overlaps }: ReportInput): RunReport {
  return {
    format: 1,
    kind: 'run',
    run,
    source: request.source,
    outcome: 'running',
    requestedBy: request.requestedBy,
    requestedAt: request.requestedAt,
    startedAt: plan.startedAt,
    destinations: plan.destinations.map((name) => ({ name, outcome: 'pending' })),
    notifications: [],
    warnings: [],
    overlaps,
    generation,
  }
}

/** The report of a run that is over. `now` is its end. */
export function endReport(input: ReportInput, judgement: Judgement, now: Date): RunReport {
  const { outcome, failure, dump, standings } = judgement
  return {
    ...beginReport(input),
    outcome,
    finishedAt: now.toISOString(),
    ...(failure === undefined ? {} : { code: failure.code, reason: failure.reason }),
    ...(dump === undefined ? {} : { bytes: dump.streams.reduce((sum, { bytes }) => sum + bytes, 0) }),
    durations: durationsOf(input, judgement, now),
    destinations: standings.map(reportDestination),
    warnings: [...(dump?.warnings ?? []), ...standings.flatMap(pruneWarning)],
  }
}

function durationsOf(
  { request, plan }: ReportInput,
  { dump, standings }: Judgement,
  now: Date,
): Record<string, number> {
  const seconds = (from: string, to: string | Date) =>
    (new Date(to).getTime() - new Date(from).getTime()) / 1000
  const seals = standings.flatMap(({ sealed }) => (sealed === undefined ? [] : [sealed.sealedAt])).sort()
  const lastSeal = seals.at(-1)
  return {
    waited: seconds(request.requestedAt, plan.startedAt),
    ...(dump === undefined ? {} : { dump: seconds(dump.startedAt, dump.finishedAt) }),
    ...(lastSeal === undefined ? {} : { sealed: seconds(plan.startedAt, lastSeal) }),
    total: seconds(plan.startedAt, now),
  }
}

function reportDestination({
  destination,
  failure,
  sealed,
  verified,
  pruned,
}: Standing): RunReport['destinations'][number] {
  const removed = pruned?.value !== undefined && !('skipped' in pruned.value) ? pruned.value : undefined
  return {
    name: destination,
    outcome:
      failure !== undefined ? 'failed' : verified !== undefined ? 'verified' : sealed ? 'sealed' : 'pending',
    ...(failure === undefined ? {} : { reason: failure.reason }),
    ...(sealed === undefined ? {} : { stored: sealed.stored }),
    ...(verified === undefined ? {} : { verified }),
    ...(removed === undefined ? {} : { pruned: removed }),
  }
}

function pruneWarning({ destination, pruned }: Standing): string[] {
  if (pruned?.failure !== undefined) return [`Nothing was pruned at ${destination}: ${pruned.failure.reason}`]
  if (pruned?.value === undefined || 'skipped' in pruned.value) return []
  const { refused, denied, unswept } = pruned.value
  if (refused !== undefined) return [`Nothing was pruned at ${destination}: ${refused}`]
  if (denied !== undefined)
    return [`Old backups stay at ${destination} until one who may removes them: ${denied}`]
  return unswept === undefined ? [] : [`No space was freed at ${destination}: ${unswept}`]
}
