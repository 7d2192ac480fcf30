import { compressionLevels } from '@securyflex/shared/config'
import { z } from 'zod'

const compressionSchema = z.object({
  algorithm: z.enum(['none', 'gzip', 'zstd']),
  level: z.int().min(0).max(22),
})
const cipherSchema = z.enum(['none', 'aes-256-gcm', 'aes-256-cbc'])
const fingerprintSchema = z.enum(['counts', 'checksums', 'off'])
const retentionSchema = z.int().min(1).max(36_500)

/** Patterns as pg_dump has them, of what is backed up and what is left out. */
const patterns = z.array(z.string().min(1))
const selectionSchema = z.object({
  schemas: patterns,
  tables: patterns,
  withoutSchemas: patterns,
  withoutTables: patterns,
  withoutTableData: patterns,
})

/** How a run is to be made; what a request leaves out is the worker's configuration. */
export const runOptionsSchema = z.object({
  compression: compressionSchema,
  cipher: cipherSchema,
  fingerprint: fingerprintSchema,
  /** 0 where age alone keeps no backup. */
  retentionDays: z.int().min(0),
  /** Absent where the whole database is meant. */
  selection: selectionSchema.optional(),
})
export type RunOptions = z.infer<typeof runOptionsSchema>

/** `zstd` or `zstd:3`, for those who can only send text. */
const compressionText = z
  .string()
  .regex(/^(none|gzip|zstd)(:\d{1,2})?$/, 'write for example zstd or gzip:6')
  .transform((text) => {
    const [name = '', level] = text.split(':')
    const algorithm = name as keyof typeof compressionLevels
    return { algorithm, level: level === undefined ? compressionLevels[algorithm].usual : Number(level) }
  })

const wantedCompression = z
  .union([compressionText, compressionSchema.strict()], { error: 'write for example "zstd:3"' })
  .refine(
    ({ algorithm, level }) =>
      level <= compressionLevels[algorithm].highest && (algorithm === 'none' || level > 0),
    { error: 'the levels are 1 to 9 for gzip, 1 to 19 for zstd' },
  )

const wantedDays = z.union(
  [
    retentionSchema,
    z
      .stringFormat('days', /^\d{1,5}$/)
      .transform(Number)
      .pipe(retentionSchema),
  ],
  {
    error: 'a whole number of days from 1 to 36500',
  },
)

/**
 * The options of a request, from wherever it comes: the command line, the API, a stream or a job. An option that
 * does not exist is refused, since whoever wrote it expects it to do something.
 */
export const requestOptionsSchema = z
  .strictObject({
    compression: wantedCompression,
    cipher: cipherSchema,
    fingerprint: fingerprintSchema,
    retentionDays: wantedDays,
  })
  .partial()
