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

/**
 * Deterministic ids of a run's children, so that adding one twice adds one; BullMQ refuses `:` in them. `generation` counts how often a
 * failed run was retried; `attempt` names the dump execution that a batch belongs to.
 */
export const jobIds = {
  dump: (run: string, generation: number, dump: number) =>
    `${run}.${String(generation)}.dump-${String(dump)}`,
  batch: (run: string, attempt: string, batch: number) => `${run}.${attempt}.${String(batch)}`,
  destination: (run: string, attempt: string, destination: string) => `${run}.${attempt}.${destination}`,
  scrub: (source: string, destination: string, slot: Date) =>
    `${source}.${destination}.${String(slot.getTime())}`,
  notify: (run: string, generation: number, channel: string) => `${run}.${String(generation)}.${channel}`,
}
