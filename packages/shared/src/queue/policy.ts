import type { Step } from '@securyflex/shared/config'
import type { JobsOptions } from 'bullmq'

const hour = 60 * 60
const day = 24 * hour

/** How often a step is tried. Waits double from the base delay; permanent errors are not retried at all. */
const attempts: Record<Step, number> = {
  schedule: 5,
  // A run judges its children; retrying it is a decision (Bull Board, `retry`), and its attempts count generations.
  run: 1,
  dump: 3,
  compress: 5,
  encrypt: 5,
  upload: 6,
  seal: 5,
  verify: 3,
  prune: 3,
  // The run waits for it: a dead channel may hold its source for a few minutes, not longer.
  notify: 5,
  // The next run asks for it again.
  copy: 3,
  // The next slot begins with what this one left.
  scrub: 3,
}

/** Steps of a run outlive it: the longest run takes 48 h. Removal happens when another job of the queue ends. */
const keepSteps = { age: 4 * day }
/** For how long an ended run stays in the queue, in seconds. */
export const runsAreKept = 30 * day
const keepRuns = { age: runsAreKept, count: 10_000 }

/**
 * BullMQ's options for a job of `step`.
 * @param baseDelay wait before the second attempt, in ms; up to half of each wait is random
 */
export function jobOptions(step: Step, baseDelay: number): JobsOptions {
  const keep = step === 'run' || step === 'schedule' ? keepRuns : keepSteps
  return {
    attempts: attempts[step],
    backoff: { type: 'exponential', delay: baseDelay, jitter: 0.5 },
    removeOnComplete: keep,
    removeOnFail: step === 'run' || step === 'schedule' ? keepRuns : { age: 30 * day },
    stackTraceLimit: 5,
  }
}
