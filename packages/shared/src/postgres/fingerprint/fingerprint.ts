import type { FingerprintLevel } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { z } from 'zod'

/** Two sums over all rows, each of one 64-bit hash, as decimal numbers; see `checksumOf`. */
const checksum = z.tuple([z.string(), z.string()])

const table = z.object({
  schema: z.string(),
  name: z.string(),
  /** Exact. Null where the rows cannot be read: an unlogged table on a standby. */
  rows: z.number().int().nonnegative().nullable(),
  checksum: checksum.optional(),
  /**
   * Schema and name of the topmost hash-partitioned table that this is a part of. Which part takes a row
   * follows from a hash, of an enum value's number for example, that is another one after a restore.
   */
  hashed: z.tuple([z.string(), z.string()]).optional(),
})

const sequence = z.object({
  schema: z.string(),
  name: z.string(),
  lastValue: z.string(),
  isCalled: z.boolean(),
  increment: z.string(),
  cycles: z.boolean(),
})

const fingerprint = z.object({
  format: z.literal(1),
  level: z.enum(['counts', 'checksums']),
  /** Start of the transaction, by the server's clock (ISO 8601, UTC). */
  takenAt: z.string(),
  server: z.object({ version: z.string(), versionNumber: z.number() }),
  /** A known text hashed by the server: checksums of servers that disagree here cannot be compared. */
  probe: z.string(),
  database: z.object({
    name: z.string(),
    owner: z.string(),
    encoding: z.string(),
    collate: z.string(),
    characterType: z.string(),
    localeProvider: z.enum(['libc', 'icu', 'builtin']),
    /** Of icu and builtin. */
    locale: z.string().nullable(),
    icuRules: z.string().nullable(),
  }),
  extensions: z.record(z.string(), z.string()),
  /** Plain tables and leaves of partitioned ones, in the order of their names. */
  tables: z.array(table),
  materializedViews: z.array(z.object({ schema: z.string(), name: z.string(), populated: z.boolean() })),
  sequences: z.array(sequence),
  largeObjects: z.object({ count: z.number(), bytes: z.number().optional(), checksum: checksum.optional() }),
})

/** What a database held at one moment: enough to tell whether a restored copy holds the same. */
export type Fingerprint = z.infer<typeof fingerprint>
export type TableFingerprint = z.infer<typeof table>
export type SequenceFingerprint = z.infer<typeof sequence>
export type Checksum = z.infer<typeof checksum>
/** What describes a database apart from its content; enough to create another like it. */
export type DatabaseShape = Fingerprint['database']
/** A level at which something is recorded. */
export type RecordedLevel = Exclude<FingerprintLevel, 'off'>

/**
 * A stored fingerprint.
 *
 * @throws FORMAT_UNKNOWN for one of a newer format, STREAM_DAMAGED for what is none.
 */
export function parseFingerprint(text: string): Fingerprint {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw damaged(error)
  }
  const format: unknown =
    typeof value === 'object' && value !== null && 'format' in value ? value.format : undefined
  if (typeof format === 'number' && format !== 1) {
    throw new BackupError(
      'FORMAT_UNKNOWN',
      `The fingerprint has format ${String(format)}, and this version knows format 1.`,
      {
        hint: 'Use the version of SecuryFlex Backup that made the backup, or a newer one.',
      },
    )
  }
  const result = fingerprint.safeParse(value)
  if (!result.success) throw damaged(result.error)
  return result.data
}

function damaged(cause: unknown): BackupError {
  return new BackupError('STREAM_DAMAGED', 'The fingerprint of the backup cannot be read.', {
    hint: 'Verify the backup; it can be restored without a comparison.',
    cause,
  })
}
