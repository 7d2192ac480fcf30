import type pg from 'pg'
import { oneRow } from '../rows.ts'
import type { Fingerprint, RecordedLevel } from './fingerprint.ts'
import { checksumOf } from './checksum.ts'
import { explainReading } from './reading-error.ts'

/** Bytes of a large object that are hashed as one; a multiple of its pages. */
const piece = 256 * 1024
/** INV_READ of libpq's large object interface. */
const forReading = 0x40000

/**
 * How many large objects there are, and what is in them. They are read as a client reads them, because
 * their pages, which only superusers may read, are cut anew by a restore.
 */
export async function largeObjects(
  client: pg.Client,
  level: RecordedLevel,
): Promise<Fingerprint['largeObjects']> {
  try {
    const { count } = await oneRow<{ count: string }>(
      client,
      'SELECT count(*) AS count FROM pg_catalog.pg_largeobject_metadata',
    )
    if (level === 'counts' || count === '0') return { count: Number(count) }
    const { bytes } = await oneRow<{ bytes: string }>(
      client,
      `SELECT coalesce(sum(size), 0) AS bytes FROM (${sizes}) AS s`,
    )
    const { checksum } = await checksumOf(
      client,
      `SELECT s.oid || ' ' || start || ' ' || encode(lo_get(s.oid, start, ${String(piece)}), 'hex') AS content
         FROM (${sizes}) AS s, generate_series(0, greatest(s.size - 1, 0), ${String(piece)}) AS start`,
    )
    return { count: Number(count), bytes: Number(bytes), checksum }
  } catch (error) {
    throw explainReading(error, 'large objects')
  }
}

/** Each is opened, measured and closed before the next: thousands may not stay open in one transaction. */
const sizes = `
  SELECT oid, size FROM (
    SELECT oid, size, CASE WHEN size >= 0 THEN lo_close(descriptor) END AS closed FROM (
      SELECT oid, descriptor, lo_lseek64(descriptor, 0, 2) AS size FROM (
        SELECT oid, lo_open(oid, ${String(forReading)}) AS descriptor FROM pg_catalog.pg_largeobject_metadata OFFSET 0
      ) AS opened OFFSET 0
    ) AS measured OFFSET 0
  ) AS known WHERE closed = 0`
