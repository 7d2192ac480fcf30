import { keyRecordSchema } from '@securyflex/shared/keys'
import { z } from 'zod'

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${String(bytes * 2)}}$`))
const time = z.iso.datetime()

const listSegment = z.object({
  id: hex(32),
  length: z.int().min(1),
  sealed: z.int().min(1),
  hash: hex(32),
})
export type ListSegment = z.infer<typeof listSegment>

const stream = z.object({
  kind: z.string(),
  bytes: z.int().min(0),
  digest: hex(32),
  segments: z.int().min(0),
  list: z.array(listSegment),
})
export type ManifestStream = z.infer<typeof stream>

/** The document that makes a backup exist; docs/format.md, "Manifests". */
export const manifestSchema = z.object({
  format: z.literal(1),
  kind: z.literal('manifest'),
  run: z.string(),
  attempt: z.string(),
  source: z.string(),
  destination: z.string(),
  installation: z.string(),
  product: z.string(),
  requestedAt: time,
  startedAt: time,
  snapshotAt: time,
  sealedAt: time,
  server: z.object({ version: z.string(), major: z.int(), systemIdentifier: z.string().nullable() }),
  database: z.record(z.string(), z.string().nullable()),
  tool: z.string(),
  options: z.object({
    compression: z.object({ algorithm: z.string(), level: z.int() }),
    cipher: z.string(),
    fingerprint: z.string(),
    retentionDays: z.int(),
    /** Absent where the whole database was backed up. */
    selection: z.record(z.string(), z.array(z.string())).optional(),
  }),
  key: keyRecordSchema.nullable(),
  streams: z.array(stream),
  stored: z.object({ segments: z.int(), bytes: z.int() }),
  predecessor: z.object({ run: z.string(), hash: hex(32) }).nullable(),
})
export type Manifest = z.infer<typeof manifestSchema>

/** Stream kinds that this version reads; others are refused by name. */
export const streamKinds = ['archive', 'globals', 'fingerprint'] as const
export type StreamKind = (typeof streamKinds)[number]
