import type { Retention } from '@securyflex/shared/config'
import { keptByRules } from './retention.ts'

/** A backup as the plan sees it. */
export interface PruneCandidate {
  readonly run: string
  /** When it was asked for, from its run id. */
  readonly time: Date
  /** Whether it counts: authenticated, or intact where nothing is encrypted. */
  readonly trusted: boolean
  /** Whether its run told that it did not pass its checks at this destination. */
  readonly unsound?: boolean
  /** When it was sealed at this destination, or brought here. */
  readonly sealed?: Date
  /** Somebody's word that keeps it whatever the rules say: the `describeKept` of it. */
  readonly kept?: string | undefined
}

export interface PruneInput {
  readonly backups: readonly PruneCandidate[]
  /** Runs whose manifest cannot be read, with the reason. */
  readonly unreadable: readonly { readonly run: string; readonly why: string }[]
  /** When runs began that are under way, and not sealed here yet. */
  readonly underWay?: readonly Date[]
  readonly now: Date
  readonly retention: Retention
  /** IANA name of the zone in which days, weeks, months and years are counted. */
  readonly timeZone: string
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
 * Which backups of one source stay: the union of what the rules of retention keep, what somebody keeps by name, and
 * the newest good ones. It takes only trusted ones, never one that is newer than the newest good one (a run may be
 * building on it), and refuses everything where something is odd: then a person should look first. Pure.
 */
export function planPrune(input: PruneInput): PrunePlan {
  const newestFirst = [...input.backups].sort((a, b) => compareRuns(b.run, a.run))
  const refused = refusal(input)
  if (refused !== undefined) {
    return { refused, decisions: newestFirst.map(({ run }) => ({ run, keep: true, why: refused })) }
  }
  const trusted = newestFirst.filter((backup) => backup.trusted)
  const protection = protect(trusted, input.retention.minimum)
  const dated = trusted.map(({ run, time, unsound }) => ({ run, time, counts: unsound !== true }))
  const builtUpon = new Set((input.underWay ?? []).flatMap((began) => groundOf(trusted, began)))
  const rules = keptByRules(dated, input.retention, input.now, input.timeZone)
  const decisions = newestFirst.map((backup) => {
    const reasons = [
      ...(backup.trusted ? [] : ['not authenticated, so not ours to remove']),
      ...(backup.kept === undefined ? [] : [backup.kept]),
      ...(rules.get(backup.run) ?? []),
      ...(protection.get(backup.run) ?? []),
      ...(builtUpon.has(backup.run) ? ['a run that is under way may be building upon it'] : []),
    ]
    if (reasons.length > 0) return { run: backup.run, keep: true, why: reasons.join('; ') }
    return { run: backup.run, keep: false, why: farewell(backup, input.now) }
  })
  return { refused, decisions }
}

/** Ids of one source sort by age; bytes decide, whatever the language of the machine. */
function compareRuns(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function refusal({ unreadable, backups, now }: PruneInput): string | undefined {
  const [bad] = unreadable
  if (bad !== undefined) return `the manifest of ${bad.run} cannot be read: ${bad.why}`
  const ahead = backups.find(({ time }) => time.getTime() > now.getTime() + clockTolerance)
  if (ahead !== undefined) return `${ahead.run} is dated in the future: check this machine's clock`
  return undefined
}

/** What no rule can give up: the newest good ones, and whatever is newer than the newest of them. */
function protect(
  trustedNewestFirst: readonly PruneCandidate[],
  minimum: number,
): ReadonlyMap<string, readonly string[]> {
  const reasons = new Map<string, string[]>()
  const least = Math.max(1, minimum)
  let good = 0
  for (const { run, unsound } of trustedNewestFirst) {
    if (unsound === true && good === 0) reasons.set(run, ['no newer one passed its checks'])
    if (unsound === true) continue
    good += 1
    if (good > least) break
    reasons.set(run, [
      least === 1 ? 'the newest good one' : `among the ${String(least)} newest good ones, which always stay`,
    ])
  }
  return reasons
}

/** What was the newest at some time since `began`: a copy that came since may have taken that place. */
function groundOf(trustedNewestFirst: readonly PruneCandidate[], began: Date): string[] {
  const isOlder = ({ sealed }: PruneCandidate) => sealed !== undefined && sealed <= began
  const newestThen = trustedNewestFirst.findIndex(isOlder)
  const until = newestThen < 0 ? trustedNewestFirst.length : newestThen + 1
  return trustedNewestFirst.slice(0, until).map(({ run }) => run)
}

function farewell({ time, unsound }: PruneCandidate, now: Date): string {
  const age = Math.floor((now.getTime() - time.getTime()) / day)
  const old = `${String(age)} ${age === 1 ? 'day' : 'days'} old`
  return unsound === true ? `${old}, and it did not pass its checks` : `${old}, and no rule keeps it`
}
