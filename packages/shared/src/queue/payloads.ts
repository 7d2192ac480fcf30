import { BackupError } from '@securyflex/shared/errors'
import { z } from 'zod'
import { requestOptionsSchema, runOptionsSchema } from './options.ts'

/**
 * What travels in jobs: names and bare numbers, versioned, never a secret. Checked when a job is added and
 * again when it is taken. `v` changes when a worker of the version before could not do the job rightly.
 */
const v = z.literal(1)
const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/)
/** It becomes a directory and a name in stores, so it must not lead anywhere else. */
const run = z.string().regex(/^\w[\w.-]{0,99}$/)
const attempt = z.string().regex(/^[0-9a-f]{8}$/)
const batch = z.int().min(1)
const digest = z.string().regex(/^[0-9a-f]{64}$/)

const schedule = z.object({ v, source: name })
/** Of a group's source: its name as a source need not say it. PostgreSQL's own limit of bytes. */
const database = z.string().min(1).max(63).optional()
const runRequest = z.object({
  v,
  source: name,
  database,
  requestedBy: z.string().min(1).max(100),
  requestedAt: z.iso.datetime(),
  /** The time for which a schedule asked. */
  slot: z.iso.datetime().optional(),
  options: requestOptionsSchema.default({}),
  /** What the run's first start settled, so that each wake, on whatever worker, goes on alike. */
  plan: z
    .object({ startedAt: z.iso.datetime(), destinations: z.array(name).min(1), options: runOptionsSchema })
    .optional(),
})
const dump = z.object({
  v,
  run,
  source: name,
  database,
  options: runOptionsSchema,
  destinations: z.array(name).min(1),
})
const compress = z.object({ v, run, source: name, attempt, batch, options: runOptionsSchema })
const upload = z.object({ v, run, source: name, attempt, batch, destination: name })

/** What a completed dump says; the run follows only the attempt named here. */
const dumpResult = z.object({
  attempt,
  batches: z.int().min(0),
  startedAt: z.iso.datetime(),
  snapshotAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  tool: z.string(),
  server: z.object({ version: z.string(), major: z.int(), systemIdentifier: z.string().nullable() }),
  /** Enough to create a database like it. */
  database: z.record(z.string(), z.string().nullable()),
  streams: z.array(z.object({ kind: z.string(), bytes: z.int(), digest, segments: z.int() })),
  /** Bytes of segments that some destination lacked. */
  newBytes: z.int(),
  /** What a person should know of the selection. */
  warnings: z.array(z.string()).optional(),
})
export type DumpResult = z.infer<typeof dumpResult>

const atDestination = z.object({ v, run, source: name, destination: name })
/** Days only where the run was asked for with them: the rest of the rules is the worker's configuration. */
const beforePrune = atDestination.extend({ retentionDays: z.int().min(1).optional() })
const seal = beforePrune.extend({
  requestedAt: z.iso.datetime(),
  options: runOptionsSchema,
  dump: dumpResult,
})
/** A schedule's slot, which asks for the scrub of each destination; or the scrub of one, for that slot. */
const scrub = z.object({
  v,
  source: name,
  destination: name.optional(),
})
const notify = z.object({
  v,
  run,
  source: name,
  channel: z.enum(['log', 'webhook']),
  message: z.record(z.string(), z.unknown()),
})

/** The payload of each step's jobs. */
const payloads = {
  schedule,
  run: runRequest,
  dump,
  compress,
  encrypt: compress,
  upload,
  seal,
  verify: beforePrune,
  prune: beforePrune,
  notify,
  copy: atDestination,
  scrub,
} as const
export type Payloads = { [S in keyof typeof payloads]: z.infer<(typeof payloads)[S]> }

/** What a step's job returns when it did its work; `skipped` says why when there was none left to do. */
const skipped = z.object({ skipped: z.enum(['superseded', 'cancelled', 'done']) })
const stored = z.object({ segments: z.int(), bytes: z.int() })
const results = {
  dump: z.union([dumpResult, skipped]),
  compress: z.union([z.object({ bytes: z.int() }), skipped]),
  encrypt: z.union([z.object({ bytes: z.int() }), skipped]),
  upload: z.union([stored, skipped]),
  seal: z.union([z.object({ sealedAt: z.iso.datetime(), stored, manifest: z.string() }), skipped]),
  verify: z.union([z.object({ opened: z.int(), listed: z.int(), bytes: z.int() }), skipped]),
  prune: z.union([
    z.object({
      backups: z.int(),
      segments: z.int(),
      bytes: z.int().optional(),
      locked: z.int().optional(),
      refused: z.string().optional(),
      denied: z.string().optional(),
      unswept: z.string().optional(),
    }),
    skipped,
  ]),
  notify: z.union([z.object({ delivered: z.literal(true) }), skipped]),
  copy: z.union([stored.extend({ backups: z.int() }), skipped]),
  scrub: z.union([
    z.object({
      shards: z.int(),
      opened: z.int(),
      bytes: z.int(),
      missing: z.int(),
      truncated: z.int(),
      altered: z.int(),
      healed: z.int(),
      aside: z.int(),
      unknown: z.int(),
    }),
    z.object({ asked: z.int() }),
    skipped,
  ]),
} as const
export type Results = { [S in keyof typeof results]: z.infer<(typeof results)[S]> }
export type Skipped = z.infer<typeof skipped>

/**
 * `data` as the payload of `step`.
 * @throws PAYLOAD_INVALID, saying which field is wrong
 */
export function parsePayload<S extends keyof Payloads>(step: S, data: unknown): Payloads[S] {
  return parse(payloads[step], data, `a ${step} job's payload`) as Payloads[S]
}

/** `value` as the result of `step`. @throws PAYLOAD_INVALID */
export function parseResult<S extends keyof Results>(step: S, value: unknown): Results[S] {
  return parse(results[step], value, `a ${step} job's result`) as Results[S]
}

function parse(schema: z.ZodType, value: unknown, what: string): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new BackupError('PAYLOAD_INVALID', `This is not ${what}: ${explain(parsed.error)}.`, {
    hint: 'Producer, worker and command line must be of the same version; the payloads are described in docs/queues.md.',
  })
}

/** Which field is wrong, and how. */
export function explain(error: z.ZodError): string {
  const [issue] = error.issues
  const field = issue?.path.join('.') ?? ''
  return `${field === '' ? '' : `${field}: `}${issue?.message ?? 'invalid'}`
}
