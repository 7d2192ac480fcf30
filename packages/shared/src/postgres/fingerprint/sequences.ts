import pg from 'pg'
import { allRows } from '../rows.ts'
import type { SequenceFingerprint } from './fingerprint.ts'
import { explainReading } from './reading-error.ts'
import { inSubtransaction } from './subtransaction.ts'

const { escapeIdentifier, escapeLiteral } = pg

/** Sequences that one query reads, and whose locks are held at the same time. */
const batch = 50

type Described = Pick<SequenceFingerprint, 'schema' | 'name' | 'increment' | 'cycles'>

/** Where every sequence stands; those of extensions are left to the extension. */
export async function sequences(client: pg.Client): Promise<SequenceFingerprint[]> {
  const described = await allRows<Described>(
    client,
    `SELECT n.nspname AS schema, c.relname AS name, s.seqincrement::text AS increment, s.seqcycle AS cycles
       FROM pg_catalog.pg_sequence s
       JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relpersistence <> 't'
        AND NOT (pg_is_in_recovery() AND c.relpersistence = 'u')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`,
  )
  const found: SequenceFingerprint[] = []
  for (let start = 0; start < described.length; start += batch) {
    const some = described.slice(start, start + batch)
    found.push(...(await inSubtransaction(client, () => read(client, some))))
  }
  return found
}

async function read(client: pg.Client, described: readonly Described[]): Promise<SequenceFingerprint[]> {
  const selects = described.map(
    ({ schema, name }, index) =>
      `SELECT ${escapeLiteral(String(index))}::int AS index, last_value::text AS last, is_called AS called
         FROM ${escapeIdentifier(schema)}.${escapeIdentifier(name)}`,
  )
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
    return one === undefined ? [] : [{ ...one, lastValue: last, isCalled: called }]
  })
}
