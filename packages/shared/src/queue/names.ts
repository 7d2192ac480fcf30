import { createHash, randomBytes } from 'node:crypto'
import { type Step, steps } from '@securyflex/shared/config'

/** Namespace of every key in Redis. */
export const prefix = 'securyflex'

/** The queue of a step; each destination has an upload queue of its own, so that a dead store fills no other's slots. */
export function queueName(step: Step, destination?: string): string {
  if (step !== 'upload') return step
  if (destination === undefined) throw new TypeError('an upload queue belongs to a destination')
  return `upload-${destination}`
}

/** Every queue of an installation with these destinations, in the order of the way. */
export function queueNames(destinations: readonly string[]): string[] {
  return steps.flatMap((step) =>
    step === 'upload' ? destinations.map((name) => queueName(step, name)) : [queueName(step)],
  )
}

/** `<source>.<UTC time>.<4 hex>`; docs/format.md, "Objects". BullMQ refuses `:` in job ids. */
export function newRunId(source: string, time: Date): string {
  return runIdOf(source, time, randomBytes(2).toString('hex'))
}

/** The run of a schedule's slot: always the same id, so that asking twice is harmless. */
export function slotRunId(source: string, slot: Date): string {
  const digest = createHash('sha256').update(`${source} ${slot.toISOString()}`).digest('hex')
  return runIdOf(source, slot, digest.slice(0, 4))
}

function runIdOf(source: string, time: Date, suffix: string): string {
  return `${source}.${time.toISOString().replace(/[-:]|\.\d+/g, '')}.${suffix}`
}

const runIdPattern = /^([A-Za-z0-9_-]{1,64})\.(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.[0-9a-f]{4}$/

/** Source and time of a run id; undefined if it is none. */
export function parseRunId(id: string): { source: string; time: Date } | undefined {
  const match = runIdPattern.exec(id)
  if (match === null) return undefined
  const [, source, year, month, day, hour, minute, second] = match
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return source === undefined || Number.isNaN(time.getTime()) ? undefined : { source, time }
}

/**
 * Deterministic ids of a run's children, so that adding one twice adds one. `generation` counts how often a
 * failed run was retried; `attempt` names the dump execution that a batch belongs to.
 */
export const jobIds = {
  dump: (run: string, generation: number, dump: number) => `${run}.${String(generation)}.dump-${String(dump)}`,
  batch: (run: string, attempt: string, batch: number) => `${run}.${attempt}.${String(batch)}`,
  destination: (run: string, generation: number, destination: string) => `${run}.${String(generation)}.${destination}`,
  notify: (run: string, generation: number, channel: string) => `${run}.${String(generation)}.${channel}`,
}
