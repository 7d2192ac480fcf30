import type pg from 'pg'
import { oneRow } from '../rows.ts'
import type { Checksum } from './fingerprint.ts'

/**
 * Counts the rows of `query` and adds up two 64-bit hashes (differently seeded) of their text `content`.
 * A sum does not depend on the order of rows, and unlike XOR it notices rows that are there twice.
 * The hash takes the bytes as they are in the database's encoding.
 */
export async function checksumOf(
  client: pg.Client,
  query: string,
): Promise<{ rows: number; checksum: Checksum }> {
  const { rows, low, high } = await oneRow<{ rows: string; low: string; high: string }>(
    client,
    // OFFSET 0 keeps the text from being made twice, once for each hash.
    `SELECT count(*) AS rows, coalesce(sum(hashtextextended(content COLLATE "C", 1)), 0)::text AS low,
            coalesce(sum(hashtextextended(content COLLATE "C", 2)), 0)::text AS high
       FROM (${query} OFFSET 0) AS contents`,
  )
  return { rows: Number(rows), checksum: [low, high] }
}
