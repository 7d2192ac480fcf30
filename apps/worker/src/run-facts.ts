import { settingsOf, type Step } from '@securyflex/shared/config'
import {
  type DumpResult,
  isCancelled,
  jobIds,
  parseResult,
  type Payloads,
  prefix,
  queueName,
  type Results,
} from '@securyflex/shared/queue'
import { parseRunId } from '@securyflex/shared/repository'
import { unlessDamaged } from '@securyflex/shared/spool'
import type { Job } from 'bullmq'
import type { WorkerContext } from './context.ts'
import { type Failure, readFailure } from './failure.ts'
import { type Came, type DestinationFacts, lostPlace, type RunFacts } from './run-plan.ts'

/** What came back from a run's children, read from the queues. */
export async function gatherFacts(
  context: WorkerContext,
  job: Job,
  plan: NonNullable<Payloads['run']['plan']>,
  refused: Failure | undefined,
): Promise<RunFacts> {
  const run = job.id ?? ''
  const generation = job.attemptsMade
  const came = await readChildren(context, job)
  const dumps = await readDumps((number) => came('dump', jobIds.dump(run, generation, number)))
  const dropped = await droppedReasons(context, run)
  const destinations = plan.destinations.map(async (destination): Promise<DestinationFacts> => {
    const dump = dumps.at(-1)?.value
    if (dump === undefined || 'skipped' in dump) return untouched(destination)
    const id = jobIds.destination(run, dump.attempt, destination)
    return {
      destination,
      lane: await laneFailure(run, dump, destination, came, dropped),
      seal: await came('seal', id),
      verify: await came('verify', id),
      prune: await came('prune', id),
    }
  })
  const channels = settingsOf(context.config, parseRunId(run)?.source ?? '').channels.map(
    async (channel) => ({
      channel,
      notify: await came('notify', jobIds.notify(run, generation, channel)),
    }),
  )
  return {
    cancelled: await isCancelled(context.queues.redis, run),
    refused,
    dumps,
    destinations: await Promise.all(destinations),
    channels: await Promise.all(channels),
  }
}

function untouched(destination: string): DestinationFacts {
  return { destination, lane: undefined, seal: undefined, verify: undefined, prune: undefined }
}

/** How a child came out. */
type CameOf = <S extends keyof Results>(
  step: S,
  id: string,
  destination?: string,
) => Promise<Came<Results[S]>>

/** The outcomes that children left with the run; one that left none (it was released) is asked itself. */
async function readChildren(context: WorkerContext, job: Job): Promise<CameOf> {
  const values = await job.getChildrenValues<unknown>()
  const failures = await job.getIgnoredChildrenFailures()
  return async (step, id, destination) => {
    const key = `${prefix}:${queueName(step, destination)}:${id}`
    const failure = failures[key]
    if (failure !== undefined) return { failure: readFailure(failure) }
    const value = values[key]
    if (value !== undefined) return { value: parseResult(step, value) }
    return askChild(context, step, id, destination)
  }
}

async function askChild<S extends keyof Results & Step>(
  { queues }: WorkerContext,
  step: S,
  id: string,
  destination: string | undefined,
): Promise<Came<Results[S]>> {
  const child = (await queues.get(step, destination).getJob(id)) as Job | undefined
  if (child === undefined) return undefined
  if (await child.isFailed()) return { failure: readFailure(child.failedReason) }
  return (await child.isCompleted()) ? { value: parseResult(step, child.returnvalue) } : undefined
}

async function readDumps(
  dump: (number: number) => Promise<Came<Results['dump']>>,
): Promise<Came<Results['dump']>[]> {
  const dumps: Came<Results['dump']>[] = []
  for (let number = 1; ; number++) {
    const came = await dump(number)
    if (came === undefined) return dumps
    dumps.push(came)
  }
}

/** Why the batches of a dump did not all arrive at `destination`; undefined if they did. */
async function laneFailure(
  run: string,
  dump: DumpResult,
  destination: string,
  came: CameOf,
  dropped: ReadonlyMap<string, string>,
): Promise<Failure | undefined> {
  const reason = dropped.get(destination)
  if (reason !== undefined) return readFailure(reason)
  for (let batch = 1; batch <= dump.batches; batch++) {
    const id = jobIds.batch(run, dump.attempt, batch)
    const upload = await came('upload', id, destination)
    if (upload?.value !== undefined && 'segments' in upload.value) continue
    const steps = [await came('compress', id), await came('encrypt', id), upload]
    const failure = steps.find((one) => one?.failure !== undefined)?.failure
    if (failure !== undefined) return failure
    if (steps.some((one) => isSuperseded(one?.value))) return lostPlace
    return { code: 'INTERNAL', reason: `Batch ${String(batch)} did not arrive at ${destination}.` }
  }
  return undefined
}

function isSuperseded(value: object | undefined): boolean {
  return value !== undefined && 'skipped' in value && value.skipped === 'superseded'
}

/** None where a power cut damaged what says so: the steps say that themselves. */
async function droppedReasons({ spool }: WorkerContext, run: string): Promise<ReadonlyMap<string, string>> {
  const token = await unlessDamaged(spool.run(run).current())
  return token === undefined ? new Map() : spool.run(run).attempt(token).dropped()
}
