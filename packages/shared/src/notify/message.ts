import { BackupError, codes, type ErrorCode, redact } from '@securyflex/shared/errors'
import { z } from 'zod'

const ended = ['success', 'degraded', 'failed', 'cancelled'] as const
const time = z.iso.datetime()

/**
 * What is announced of a run that has ended, version 1; docs/webhook.md describes it for receivers.
 * Times are UTC, sizes bytes. New optional fields may come within a version; a changed meaning is a new version.
 */
export const messageSchema = z.object({
  version: z.literal(1),
  event: z.literal('run.ended'),
  outcome: z.enum(ended),
  /** The same in a sentence or two for people. */
  text: z.string(),
  run: z.string(),
  source: z.string(),
  requestedBy: z.string(),
  requestedAt: time,
  startedAt: time,
  finishedAt: time,
  durationSeconds: z.number().min(0),
  /** Of what was read from the database, before compression; absent if it was not read to its end. */
  bytes: z.int().optional(),
  /** Why it did not succeed, and what to do. */
  code: z.enum(Object.keys(codes) as [ErrorCode, ...ErrorCode[]]).optional(),
  reason: z.string().optional(),
  hint: z.string().optional(),
  destinations: z.array(
    z.object({
      name: z.string(),
      outcome: z.string(),
      /** Bytes that this run added there. */
      storedBytes: z.int().optional(),
      reason: z.string().optional(),
    }),
  ),
  warnings: z.array(z.string()),
  /** Requests for the same source that came meanwhile and were answered with this run. */
  overlaps: z.int(),
})

/** What is announced of a run that has ended. */
export type Message = z.infer<typeof messageSchema>

/** The parts of a run report that an announcement needs. */
export interface FinishedRun {
  readonly run: string
  readonly source: string
  readonly outcome: Message['outcome'] | 'running'
  readonly requestedBy: string
  readonly requestedAt: string
  readonly startedAt: string
  readonly finishedAt?: string | undefined
  readonly bytes?: number | undefined
  readonly code?: ErrorCode | undefined
  readonly reason?: string | undefined
  readonly hint?: string | undefined
  readonly destinations: readonly {
    readonly name: string
    readonly outcome: string
    readonly reason?: string | undefined
    readonly stored?: { readonly bytes: number } | undefined
  }[]
  readonly warnings: readonly string[]
  readonly overlaps: number
}

/**
 * The announcement of a run that has ended.
 * @throws INTERNAL for a run that has not
 */
export function composeMessage(report: FinishedRun): Message {
  const { outcome, finishedAt, startedAt } = report
  if (outcome === 'running' || finishedAt === undefined) {
    throw new BackupError('INTERNAL', `The run ${report.run} has not ended and cannot be announced.`)
  }
  const durationSeconds = Math.max(0, (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000)
  const { bytes, code, reason, hint } = report
  return {
    version: 1,
    event: 'run.ended',
    outcome,
    text: redact(sentence(report, durationSeconds)),
    run: report.run,
    source: report.source,
    requestedBy: report.requestedBy,
    requestedAt: report.requestedAt,
    startedAt,
    finishedAt,
    durationSeconds,
    ...(bytes === undefined ? {} : { bytes }),
    ...(code === undefined ? {} : { code }),
    ...(reason === undefined ? {} : { reason: redact(reason) }),
    ...(hint === undefined ? {} : { hint: redact(hint) }),
    destinations: report.destinations.map(composeDestination),
    warnings: report.warnings.map(redact),
    overlaps: report.overlaps,
  }
}

function composeDestination({ name, outcome, stored, reason }: FinishedRun['destinations'][number]) {
  return {
    name,
    outcome,
    ...(stored === undefined ? {} : { storedBytes: stored.bytes }),
    ...(reason === undefined ? {} : { reason: redact(reason) }),
  }
}

const openings: Readonly<Record<FinishedRun['outcome'], string>> = {
  running: 'is under way',
  success: 'succeeded',
  degraded: 'succeeded only in part: it can be restored, but is missing at a destination',
  failed: 'failed',
  cancelled: 'was cancelled',
}

function sentence(report: FinishedRun, seconds: number): string {
  const { source, outcome, bytes, reason, hint, destinations, warnings } = report
  const size = bytes === undefined ? '' : `${showBytes(bytes)} in `
  const stored = destinations.flatMap((one) =>
    one.stored === undefined ? [] : [`${showBytes(one.stored.bytes)} new at ${one.name}`],
  )
  const facts = [`${size}${showSeconds(seconds)}`, ...stored].join(', ')
  const failed = destinations.flatMap((one) =>
    one.reason === undefined ? [] : [`${one.name}: ${one.reason}`],
  )
  const why = [reason, hint, ...failed, ...warnings].filter((part) => part !== undefined)
  // The run of a server's databases goes to no destination itself.
  const opening =
    outcome === 'degraded' && destinations.length === 0 ? 'succeeded only in part' : openings[outcome]
  return [`Backup of ${source} ${opening} (${facts}).`, ...new Set(why)].join(' ')
}

function showBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3))
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power] ?? ''}`
}

function showSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 60
    ? `${String(minutes)} min`
    : `${String(Math.floor(minutes / 60))} h ${String(minutes % 60)} min`
}
