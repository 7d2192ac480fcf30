/** A backup as the plan sees it. */
export interface PruneCandidate {
  readonly run: string
  /** When it was asked for, from its run id. */
  readonly time: Date
  /** Whether it counts: authenticated, or intact where nothing is encrypted. */
  readonly trusted: boolean
}

export interface PruneInput {
  readonly backups: readonly PruneCandidate[]
  /** Runs whose manifest cannot be read, with the reason. */
  readonly unreadable: readonly { readonly run: string; readonly why: string }[]
  readonly now: Date
  readonly retentionDays: number
  /** The newest trusted backups that stay whatever their age; at least 1. */
  readonly keepAtLeast: number
}

export interface PruneDecision {
  readonly run: string
  readonly keep: boolean
  readonly why: string
}

export interface PrunePlan {
  /** Why nothing may be removed at all; undefined if the decisions hold. */
  readonly refused: string | undefined
  /** Newest first. */
  readonly decisions: readonly PruneDecision[]
}

const day = 24 * 60 * 60 * 1000
/** Clocks may differ by this much before a backup counts as dated in the future. */
const clockTolerance = 60 * 60 * 1000

/**
 * Which backups of one source stay. It never takes the newest trusted ones, takes only trusted ones, and
 * refuses everything where something is odd: then a person should look first.
 */
export function planPrune(input: PruneInput): PrunePlan {
  const newestFirst = [...input.backups].sort((a, b) => b.run.localeCompare(a.run))
  const refused = refusal(input)
  const protectedRuns = new Set(
    newestFirst
      .filter(({ trusted }) => trusted)
      .slice(0, Math.max(1, input.keepAtLeast))
      .map(({ run }) => run),
  )
  const decisions = newestFirst.map((backup) =>
    refused === undefined
      ? decide(backup, protectedRuns, input)
      : { run: backup.run, keep: true, why: refused },
  )
  return { refused, decisions }
}

function refusal({ unreadable, backups, now }: PruneInput): string | undefined {
  const [bad] = unreadable
  if (bad !== undefined) return `the manifest of ${bad.run} cannot be read: ${bad.why}`
  const ahead = backups.find(({ time }) => time.getTime() > now.getTime() + clockTolerance)
  if (ahead !== undefined) return `${ahead.run} is dated in the future: check this machine's clock`
  return undefined
}

function decide(
  backup: PruneCandidate,
  protectedRuns: Set<string>,
  { now, retentionDays }: PruneInput,
): PruneDecision {
  const { run } = backup
  const age = now.getTime() - backup.time.getTime()
  if (!backup.trusted) return { run, keep: true, why: 'not authenticated, so not ours to remove' }
  if (age <= retentionDays * day)
    return { run, keep: true, why: `younger than ${String(retentionDays)} days` }
  if (protectedRuns.has(run)) return { run, keep: true, why: 'among the newest, which always stay' }
  return { run, keep: false, why: `${String(Math.floor(age / day))} days old` }
}
