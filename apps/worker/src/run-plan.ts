import type { DumpResult, Results } from '@securyflex/shared/queue'
import type { Failure } from './failure.ts'

/** How one child of a run came out; undefined while it does not exist. */
export type Came<T> =
  | { readonly value: T; readonly failure?: undefined }
  | { readonly failure: Failure; readonly value?: undefined }
  | undefined

/** What came back from one destination. */
export interface DestinationFacts {
  readonly destination: string
  /** Why the batches of the last dump did not all arrive; undefined if they did. */
  readonly lane: Failure | undefined
  readonly seal: Came<Results['seal']>
  readonly verify: Came<Results['verify']>
  readonly prune: Came<Results['prune']>
}

/** What a run sees when it wakes. Every child that exists has ended, or the run would not be awake. */
export interface RunFacts {
  readonly cancelled: boolean
  /** Why the run cannot begin at all. */
  readonly refused: Failure | undefined
  /** The dumps of this generation, first to last. */
  readonly dumps: readonly Came<Results['dump']>[]
  readonly destinations: readonly DestinationFacts[]
  readonly channels: readonly { readonly channel: string; readonly notify: Came<Results['notify']> }[]
}

/** How the run stands at one destination. */
export interface Standing {
  readonly destination: string
  readonly failure?: Failure
  readonly sealed?: Extract<Results['seal'], { sealedAt: string }>
  readonly verified?: Extract<Results['verify'], { opened: number }>
  readonly pruned?: Came<Results['prune']>
}

/** The outcome of a run, all children judged. */
export interface Judgement {
  readonly outcome: 'success' | 'degraded' | 'failed' | 'cancelled'
  readonly failure?: Failure
  readonly dump?: DumpResult
  readonly standings: readonly Standing[]
}

/** What a run does next. */
export type NextAction =
  | { readonly do: 'dump'; readonly number: number }
  | {
      readonly do: 'seal' | 'verify' | 'prune'
      readonly destinations: readonly string[]
      readonly dump: DumpResult
    }
  | { readonly do: 'notify'; readonly channels: readonly string[]; readonly judgement: Judgement }
  | { readonly do: 'finish'; readonly judgement: Judgement }

/** A dump whose batches were lost on disk is made again this often. */
const mostDumps = 3

/**
 * What follows from what came back: dump, then where all batches arrived seal, where that held verify, where
 * that held prune, then notify on either outcome, then the end.
 */
export function decide(facts: RunFacts): NextAction {
  if (facts.refused === undefined && !facts.cancelled) {
    const next = nextWork(facts)
    if (next !== undefined) return next
  }
  const judgement = judge(facts)
  const untold = facts.channels.filter(({ notify }) => notify === undefined)
  const channels = untold.map(({ channel }) => channel)
  return channels.length > 0 ? { do: 'notify', channels, judgement } : { do: 'finish', judgement }
}

function nextWork(facts: RunFacts): NextAction | undefined {
  const last = facts.dumps.at(-1)
  if (last === undefined) return { do: 'dump', number: facts.dumps.length + 1 }
  const dump = dumpOf(facts)
  if (dump === undefined) return undefined
  const standings = facts.destinations.map(stand)
  const good = facts.destinations.filter((_, index) => standings[index]?.failure === undefined)
  if (good.length === 0 && isLost(standings) && facts.dumps.length < mostDumps) {
    return { do: 'dump', number: facts.dumps.length + 1 }
  }
  const without = (step: 'seal' | 'verify' | 'prune') =>
    good.filter((destination) => destination[step] === undefined).map(({ destination }) => destination)
  const [unsealed, unverified, unpruned] = [without('seal'), without('verify'), without('prune')]
  if (unsealed.length > 0) return { do: 'seal', destinations: unsealed, dump }
  if (unverified.length > 0) return { do: 'verify', destinations: unverified, dump }
  if (unpruned.length > 0) return { do: 'prune', destinations: unpruned, dump }
  return undefined
}

/** Batches that a power cut damaged, say: nothing is wrong with source or stores. */
function isLost(standings: readonly Standing[]): boolean {
  return standings.every(({ failure }) => failure?.code === 'SPOOL_DAMAGED')
}

/** Why a step of the attempt that counts had nothing to do: it found no trace of it. */
export const lostPlace: Failure = {
  code: 'SPOOL_DAMAGED',
  reason: 'What the spool had of this backup is gone.',
}

function dumpOf({ dumps }: RunFacts): DumpResult | undefined {
  const value = dumps.at(-1)?.value
  return value === undefined || 'skipped' in value ? undefined : value
}

function stand({ destination, lane, seal, verify, prune }: DestinationFacts): Standing {
  if (lane !== undefined) return { destination, failure: lane }
  if (seal === undefined) return { destination }
  if (seal.failure !== undefined) return { destination, failure: seal.failure }
  if ('skipped' in seal.value) return { destination, failure: skippedFailure(seal.value.skipped) }
  const sealed = seal.value
  if (verify === undefined) return { destination, sealed }
  if (verify.failure !== undefined) return { destination, sealed, failure: verify.failure }
  if ('skipped' in verify.value) return { destination, sealed, failure: skippedFailure(verify.value.skipped) }
  return { destination, sealed, verified: verify.value, pruned: prune }
}

function skippedFailure(why: string): Failure {
  if (why === 'superseded') return lostPlace
  return { code: 'INTERNAL', reason: `The step did nothing: ${why}.` }
}

function judge(facts: RunFacts): Judgement {
  const dump = dumpOf(facts)
  const nowhere: Standing[] = facts.destinations.map(({ destination }) => ({ destination }))
  const standings = dump === undefined ? nowhere : facts.destinations.map(stand)
  const came = dump === undefined ? { standings } : { standings, dump }
  if (facts.refused !== undefined) return { outcome: 'failed', failure: facts.refused, ...came }
  if (facts.cancelled) {
    return { outcome: 'cancelled', failure: { code: 'CANCELLED', reason: 'The run was cancelled.' }, ...came }
  }
  const failure = facts.dumps.at(-1)?.failure ?? standings.find((standing) => standing.failure)?.failure
  const good = standings.filter((standing) => standing.verified !== undefined)
  if (good.length === 0)
    return { outcome: 'failed', failure: failure ?? skippedFailure('nothing was stored'), ...came }
  if (good.length === standings.length) return { outcome: 'success', ...came }
  return { outcome: 'degraded', ...(failure === undefined ? {} : { failure }), ...came }
}
