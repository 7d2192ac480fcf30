import pg from 'pg'
import { allRows } from '../rows.ts'
import type { Chosen } from '../selection/choose.ts'
import type { SequenceFingerprint } from './fingerprint.ts'
import { explainReading } from './reading-error.ts'
import { inSubtransaction } from './subtransaction.ts'

const { escapeIdentifier, escapeLiteral } = pg

/** Sequences that one query reads, and whose locks are held at the same time. */
const batch = 50

interface Described extends Pick<SequenceFingerprint, 'schema' | 'name' | 'increment' | 'cycles'> {
  readonly start: string
  /** Whether a dump says where it stands. */
  readonly data: boolean
}

/** Where every sequence stands; those of extensions are left to the extension. */
export async function sequences(
  client: pg.Client,
  chosen: Chosen | undefined,
): Promise<SequenceFingerprint[]> {
  const described = await allRows<Described>(
    client,
    `SELECT n.nspname AS schema, c.relname AS name, s.seqincrement::text AS increment, s.seqcycle AS cycles,
            s.seqstart::text AS start, ($2::oid[] IS NULL OR c.oid = ANY ($2)) AS data
       FROM pg_catalog.pg_sequence s
       JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relpersistence <> 't' AND ($1::oid[] IS NULL OR c.oid = ANY ($1))
        AND NOT (pg_is_in_recovery() AND c.relpersistence = 'u')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`,
    [chosen?.dumped, chosen?.data],
  )
  const found: SequenceFingerprint[] = []
  for (let start = 0; start < described.length; start += batch) {
    const some = described.slice(start, start + batch)
    found.push(...(await inSubtransaction(client, () => read(client, some))))
  }
  return found
}

async function read(client: pg.Client, described: readonly Described[]): Promise<SequenceFingerprint[]> {
  const selects = described.map(({ schema, name, start, data }, index) => {
    const number = `${escapeLiteral(String(index))}::int AS index`
    // One whose value is left out stands at its start in a copy, and need not be readable.
    return data
      ? `SELECT ${number}, last_value::text AS last, is_called AS called
           FROM ${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
      : `SELECT ${number}, ${escapeLiteral(start)} AS last, false AS called`
  })
  const rows = await allRows<{ last: string; called: boolean }>(
    client,
    `${selects.join(' UNION ALL ')} ORDER BY index`,
  ).catch((error: unknown) => {
    throw explainReading(
      error,
      `the sequences ${described[0]?.name ?? ''} to ${described.at(-1)?.name ?? ''}`,
    )
  })
  return rows.flatMap(({ last, called }, index) => {
    const one = described[index]
    if (one === undefined) return []
    const { schema, name, increment, cycles } = one
    return [{ schema, name, increment, cycles, lastValue: last, isCalled: called }]
  })
}
