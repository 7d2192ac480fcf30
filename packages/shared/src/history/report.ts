import { codes } from '@securyflex/shared/errors'
import { z } from 'zod'

const time = z.iso.datetime()

/** How a run ended; `running` until it has. `degraded`: usable, and missing from some destination. */
export const outcomes = ['running', 'success', 'degraded', 'failed', 'cancelled'] as const

const destination = z.object({
  name: z.string(),
  outcome: z.enum(['pending', 'sealed', 'verified', 'failed']),
  /** Why it failed, in a sentence. */
  reason: z.string().optional(),
  /** Segments and bytes that the run added there. */
  stored: z.object({ segments: z.int(), bytes: z.int() }).optional(),
  verified: z.object({ opened: z.int(), listed: z.int(), bytes: z.int() }).optional(),
  pruned: z
    .object({
      backups: z.int(),
      segments: z.int(),
      /** Of the segments. */
      bytes: z.int().optional(),
      /** Manifests and segments under object lock, which a later prune takes. */
      locked: z.int().optional(),
      /** Why nothing was removed: something looks odd. */
      refused: z.string().optional(),
      /** Why nothing can be removed: rights. */
      denied: z.string().optional(),
      /** Why unnamed segments were left. */
      unswept: z.string().optional(),
    })
    .optional(),
})

/** The durable record of one run, good or bad. Times are UTC, durations seconds, sizes bytes. */
export const runReportSchema = z.object({
  format: z.literal(1),
  kind: z.literal('run'),
  run: z.string(),
  source: z.string(),
  outcome: z.enum(outcomes),
  requestedBy: z.string(),
  requestedAt: time,
  startedAt: time,
  finishedAt: time.optional(),
  /** Why it did not succeed, and what to do. */
  code: z.enum(Object.keys(codes) as [keyof typeof codes, ...(keyof typeof codes)[]]).optional(),
  reason: z.string().optional(),
  hint: z.string().optional(),
  /** Of all streams, before compression. */
  bytes: z.int().optional(),
  /** Seconds from request to start, of the dump, to the last seal, and in all. */
  durations: z.record(z.string(), z.number()).optional(),
  destinations: z.array(destination),
  notifications: z.array(
    z.object({ channel: z.string(), delivered: z.boolean(), reason: z.string().optional() }),
  ),
  /** What a person should look at although the backup is good, e.g. that nothing could be pruned. */
  warnings: z.array(z.string()),
  /** Requests that came while the run was under way. */
  overlaps: z.int(),
  /** Of a group's run: those of its databases that it asked for. */
  runs: z.array(z.string()).optional(),
  /** How often the run was retried after it had failed. */
  generation: z.int(),
})
export type RunReport = z.infer<typeof runReportSchema>
export type Outcome = RunReport['outcome']
