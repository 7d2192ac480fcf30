import { type DumpResult, isCancelled, jobIds, parseResult, type Payloads, prefix, queueName, type Results } from '@securyflex/shared/queue'
import type { Step } from '@securyflex/shared/config'
import type { Job } from 'bullmq'
import type { WorkerContext } from './context.ts'
import { type Failure, readFailure } from './failure.ts'
import type { Came, RunFacts } from './run-plan.ts'

/** Channels that an outcome is told through. */
export function channelsOf(context: WorkerContext): ('log' | 'webhook')[] {
  return context.config.webhook === undefined ? ['log'] : ['log', 'webhook']
}

/** What came back from a run's children, read from the queues. */
export async function gatherFacts(
  context: WorkerContext,
  job: Job,
  plan: NonNullable<Payloads['run']['plan']>,
  refused: Failure | undefined,
): Promise<RunFacts> {
  const run = job.id ?? ''
  const generation = job.attemptsMade
  const values = await job.getChildrenValues<unknown>()
  const failures = await job.getIgnoredChildrenFailures()
  const dropped = await droppedReasons(context, run)

  const cameOf = <S extends keyof Results>(step: S, id: string, destination?: string): Came<Results[S]> => {
    const key = `${prefix}:${queueName(step as Step, destination)}:${id}`
    const failure = failures[key]
    if (failure !== undefined) return { failure: readFailure(failure) }
    const value = values[key]
    return value === undefined ? undefined : { value: parseResult(step, value) }
  }
  const at =
    <S extends 'seal' | 'verify' | 'prune'>(step: S) =>
    (destination: string) =>
      cameOf(step, jobIds.destination(run, generation, destination))
  return {
    destinations: plan.destinations,
    cancelled: await isCancelled(context.queues.redis, run),
    refused,
    dumps: dumpsOf((number) => cameOf('dump', jobIds.dump(run, generation, number))),
    lanes: (dump, destination) => laneFailure(run, dump, destination, cameOf, dropped),
    seal: at('seal'),
    verify: at('verify'),
    prune: at('prune'),
    channels: channelsOf(context),
    notify: (channel) => cameOf('notify', jobIds.notify(run, generation, channel)),
  }
}

type CameOf = <S extends keyof Results>(step: S, id: string, destination?: string) => Came<Results[S]>

function dumpsOf(dump: (number: number) => Came<Results['dump']>): Came<Results['dump']>[] {
  const dumps: Came<Results['dump']>[] = []
  for (let number = 1; ; number++) {
    const came = dump(number)
    if (came === undefined) return dumps
    dumps.push(came)
  }
}

/** Why the batches of a dump did not all arrive at `destination`; undefined if they did. */
function laneFailure(
  run: string,
  dump: DumpResult,
  destination: string,
  cameOf: CameOf,
  dropped: ReadonlyMap<string, string>,
): Failure | undefined {
  for (let batch = 1; batch <= dump.batches; batch++) {
    const id = jobIds.batch(run, dump.attempt, batch)
    const upload = cameOf('upload', id, destination)
    if (upload?.value !== undefined && 'segments' in upload.value) continue
    const earlier = cameOf('compress', id)?.failure ?? cameOf('encrypt', id)?.failure ?? upload?.failure
    const reason = dropped.get(destination)
    if (earlier !== undefined) return earlier
    if (reason !== undefined) return { code: 'STALLED', reason }
    return { code: 'INTERNAL', reason: `Batch ${String(batch)} did not arrive at ${destination}.` }
  }
  return undefined
}

async function droppedReasons({ spool }: WorkerContext, run: string): Promise<ReadonlyMap<string, string>> {
  const token = await spool.run(run).current()
  return token === undefined ? new Map() : spool.run(run).attempt(token).dropped()
}
