import { setTimeout as wait } from 'node:timers/promises'
import { type Step, steps } from '@securyflex/shared/config'
import { jobIds, requestRun } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { print } from '../../output/print.ts'
import { duration, size } from '../../output/written.ts'
import { followRun, type RunEnd } from '../follow.ts'
import { narrator } from '../narrator.ts'
import { storedPart } from '../outcome.ts'
import type { Stage } from './stage.ts'

/** Asks for a run of the demo's source. @returns its id */
export async function ask({ config, queues }: Stage): Promise<string> {
  const source = config.sources[0]?.name ?? ''
  const now = new Date()
  const { run } = await requestRun(queues, newRunId(source, now), {
    v: 1,
    source,
    requestedBy: 'demo',
    requestedAt: now.toISOString(),
    options: {},
  })
  return run
}

/** Shows a run's steps, bytes and rate until it has ended. */
export async function watch(
  { config, address, signal }: Stage,
  run: string,
  expected?: number,
): Promise<RunEnd> {
  const shown = narrator(expected)
  try {
    return await followRun(config, address, run, (state) => shown.tell(state), signal)
  } finally {
    shown.end()
  }
}

/** The jobs that a run was made of, by step: `1 dump, 3 compress, …`. */
export async function jobsOf({ queues }: Stage, run: string): Promise<string> {
  const job = await queues.get('run').getJob(run)
  const { processed = {} } = (await job?.getDependencies({ processed: { count: 10_000, cursor: 0 } })) ?? {}
  const names = Object.keys(processed).map((key) => key.split(':')[1]?.replace(/^upload-.*/, 'upload'))
  const counts = steps.map((step) => [step, names.filter((name) => name === step).length] as const)
  return counts.flatMap(([step, jobs]) => (jobs === 0 ? [] : [`${jobs} ${step}`])).join(', ')
}

/** What a run read and stored, in one line. */
function figures({ bytes, destinations, seconds = 0 }: RunEnd): string {
  return `${size(bytes)} in ${duration(seconds)}, ${size(Math.round(bytes / Math.max(seconds, 0.001)))}/s in all${storedPart(destinations[0]?.stored, bytes)}`
}

/** Bytes that a run added to the repository. */
export function storedBytes({ destinations }: RunEnd): number {
  return destinations[0]?.stored?.bytes ?? 0
}

/**
 * Kills the worker while it works on `run`: once pg_dump has written something, or with `atOnce` when its dump begins,
 * for a dump that is over in half a second tells nothing of how far it is.
 * @returns the step that was active, before and after; undefined if the run was faster
 */
export async function killDuring(stage: Stage, run: string, atOnce: boolean): Promise<Step | undefined> {
  const active = await untilActive(stage, run, atOnce)
  if (active === undefined) return undefined
  await stage.killWorker()
  // A job of a worker that is dead stays active until its lock runs out: nobody finished it before the kill.
  return (await stage.queues.get(active.step).getJob(active.id))
    ?.isActive()
    .then((is) => (is ? active.step : undefined))
}

async function untilActive(
  { queues, signal }: Stage,
  run: string,
  atOnce: boolean,
): Promise<{ step: Step; id: string } | undefined> {
  const id = jobIds.dump(run, 0, 1)
  for (;;) {
    signal.throwIfAborted()
    const dump = await queues.get('dump').getJob(id)
    if (dump !== undefined && (atOnce || isReading(dump.progress)) && (await dump.isActive()))
      return { step: 'dump', id }
    const job = await queues.get('run').getJob(run)
    if (job === undefined || (await job.isCompleted()) || (await job.isFailed())) return undefined
    await wait(atOnce ? 2 : 10)
  }
}

/** pg_dump has written something, and the dump has not told of its end. */
function isReading(progress: unknown): boolean {
  return (
    typeof progress === 'object' && progress !== null && 'stream' in progress && progress.stream === 'archive'
  )
}

export function sayRun(end: RunEnd, jobs: string): void {
  print(`  ${figures(end)}`)
  print(`  jobs: ${jobs}`)
}
