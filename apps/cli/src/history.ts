import type { Config } from '@securyflex/shared/config'
import { findReports, type RunReport } from '@securyflex/shared/history'
import type { KeyRing } from '@securyflex/shared/keys'
import { type EndedRun, type Queues, restoreRun, runsAreKept } from '@securyflex/shared/queue'
import { openRepositories, sourcesOf } from './repositories.ts'

/** What `history rebuild` did with the runs of one source. */
export interface Rebuilt {
  readonly source: string
  /** Put back into the queue's history. */
  readonly restored: number
  /** Left alone, because the queue has a job of that run. */
  readonly present: number
  /** Ended longer ago than the queue keeps runs; their reports stay. */
  readonly older: number
  /** Without an end: under way, or lost, which the producer finds out. */
  readonly unfinished: number
  /** Reports that could not be read, with the reason. */
  readonly unreadable: readonly { readonly run: string; readonly problem: string }[]
}

/** As many reports of a source are looked at: an hourly schedule makes 720 in the time that runs are kept. */
const mostRuns = 2000
const remark = 'Restored from the report of this run by “history rebuild”; its steps are gone.'

/**
 * Puts the runs that the repositories have reports of back into the queue's history, as they ended. It asks for no
 * backup, leaves alone what the queue knows, and may be repeated, also while workers run.
 */
export async function rebuildHistory(
  config: Config,
  queues: Queues,
  keys: KeyRing,
  now: Date,
): Promise<Rebuilt[]> {
  const storages = openRepositories(config)
  const rebuilt: Rebuilt[] = []
  for (const source of await sourcesOf(config, storages, undefined)) {
    const reports = new Map<string, RunReport>()
    const unreadable = new Map<string, string>()
    for (const storage of storages) {
      for await (const { run, report, problem } of findReports(storage, source, keys, mostRuns)) {
        const known = reports.get(run)
        if (report === undefined) unreadable.set(run, problem)
        else if (known === undefined || isLater(report, known)) reports.set(run, report)
      }
    }
    rebuilt.push({
      source,
      ...(await restoreAll(queues, [...reports.values()], now)),
      unreadable: [...unreadable].flatMap(([run, problem]) => (reports.has(run) ? [] : [{ run, problem }])),
    })
  }
  return rebuilt
}

/** A destination may have missed the end of a run, or its retry. */
function isLater(report: RunReport, known: RunReport): boolean {
  if (report.generation !== known.generation) return report.generation > known.generation
  return (report.finishedAt ?? '') > (known.finishedAt ?? '')
}

async function restoreAll(
  queues: Queues,
  reports: readonly RunReport[],
  now: Date,
): Promise<Omit<Rebuilt, 'source' | 'unreadable'>> {
  const counts = { restored: 0, present: 0, older: 0, unfinished: 0 }
  for (const report of reports) {
    const ended = endedRun(report)
    if (ended === undefined) counts.unfinished += 1
    else if (now.getTime() - ended.finishedAt.getTime() > runsAreKept * 1000) counts.older += 1
    else if (await restoreRun(queues, ended, remark)) counts.restored += 1
    else counts.present += 1
  }
  return counts
}

/** What the job of a reported run would tell; undefined while the report has no end. */
function endedRun(report: RunReport): EndedRun | undefined {
  const { run, source, outcome, finishedAt, generation } = report
  if (finishedAt === undefined || outcome === 'running') return undefined
  const good = outcome === 'success' || outcome === 'degraded'
  return {
    run,
    request: {
      v: 1,
      source,
      requestedBy: report.requestedBy,
      requestedAt: report.requestedAt,
      options: {},
    },
    startedAt: new Date(report.startedAt),
    finishedAt: new Date(finishedAt),
    generation,
    came: good ? { result: resultOf(report) } : { failure: failureOf(report) },
  }
}

function resultOf({ outcome, bytes = 0, destinations, runs }: RunReport): object {
  return { outcome, bytes, destinations, ...(runs === undefined ? {} : { runs }) }
}

/** As a worker writes it: what happened, what to do, and the code in brackets. */
function failureOf({ outcome, reason = 'The report does not say why.', hint, code }: RunReport): string {
  const known = code ?? (outcome === 'cancelled' ? 'CANCELLED' : 'RUN_FAILED')
  return `${[reason, hint].filter((part) => part !== undefined).join(' ')} [${known}]`
}
