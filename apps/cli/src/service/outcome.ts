import { codes } from '@securyflex/shared/errors'
import { note, print } from '../output/print.ts'
import { count, duration, size } from '../output/written.ts'
import type { RunEnd } from './follow.ts'

const statuses: Record<RunEnd['outcome'], number> = {
  success: 0,
  degraded: codes.RUN_DEGRADED.exitStatus,
  failed: codes.RUN_FAILED.exitStatus,
  cancelled: codes.CANCELLED.exitStatus,
}

/** docs/exit-statuses.md; of several runs the status of the worst. */
export function exitStatusOf(ends: readonly Pick<RunEnd, 'outcome'>[]): number {
  const worst = (['failed', 'cancelled', 'degraded'] as const).find((outcome) =>
    ends.some((end) => end.outcome === outcome),
  )
  return statuses[worst ?? 'success']
}

/** Says how a run came out, and what to type next. */
export function showEnd(end: RunEnd): void {
  for (const line of endLines(end)) print(line)
  for (const warning of end.warnings) note(`Note: ${warning}`)
  if (end.reason !== undefined) note(end.reason)
  print(nextLine(end))
}

function endLines({ run, outcome, bytes, destinations, seconds }: RunEnd): string[] {
  const time = seconds === undefined ? '' : ` in ${duration(seconds)}`
  switch (outcome) {
    case 'success':
    case 'degraded':
      return [
        outcome === 'success'
          ? `Backed up and verified${time}: ${run}`
          : `Degraded: the backup is usable, but not at every destination: ${run}`,
        ...destinations.map(
          (destination) =>
            `  ${destination.name}: ${destination.outcome}${storedPart(destination.stored, bytes)}`,
        ),
      ]
    case 'cancelled':
      return [`Cancelled; nothing of it is a backup: ${run}`]
    case 'failed':
      return [`Failed${time}; there is no backup of this run: ${run}`]
  }
}

/** `, 1.2 MiB stored for 480 MiB read (0.3%) in 4 segments` */
export function storedPart(
  stored: { readonly segments: number; readonly bytes: number } | undefined,
  read: number,
): string {
  if (stored === undefined) return ''
  const share = read === 0 ? '' : ` (${((stored.bytes / read) * 100).toFixed(1)}%)`
  return `, ${size(stored.bytes)} stored for ${size(read)} read${share} in ${count(stored.segments, 'segment')}`
}

function nextLine({ run, outcome }: RunEnd): string {
  return outcome === 'success' || outcome === 'degraded'
    ? `Next: npm run backup:restore -- ${run} --to <new database>`
    : 'Next: mend that, then type again: npm run backup'
}
