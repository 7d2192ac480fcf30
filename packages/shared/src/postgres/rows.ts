import { BackupError } from '@securyflex/shared/errors'
import type pg from 'pg'

/** The one row that `text` always gives. */
export async function oneRow<Row extends pg.QueryResultRow>(
  client: pg.Client,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row> {
  const { rows } = await client.query<Row>(text, [...values])
  const row = rows[0]
  if (row === undefined)
    throw new BackupError('INTERNAL', `A query that always gives a row gave none: ${text}.`)
  return row
}

/** All rows of `text`. */
export async function allRows<Row extends pg.QueryResultRow>(
  client: pg.Client,
  text: string,
  values: readonly unknown[] = [],
): Promise<readonly Row[]> {
  return (await client.query<Row>(text, [...values])).rows
}
