import type pg from 'pg'
import { oneRow } from '../rows.ts'
import type { DatabaseShape } from './fingerprint.ts'

/** Encoding, locale and owner of the current database. Locale providers came with 15, `datlocale` with 17. */
export async function databaseShape(client: pg.Client, version: number): Promise<DatabaseShape> {
  const provider = version >= 150_000 ? 'd.datlocprovider' : `'c'`
  const locale = version >= 170_000 ? 'd.datlocale' : version >= 150_000 ? 'd.daticulocale' : 'NULL'
  const rules = version >= 160_000 ? 'd.daticurules' : 'NULL'
  return await oneRow<DatabaseShape>(
    client,
    `SELECT d.datname AS name, pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding,
            d.datcollate AS collate, d.datctype AS "characterType",
            CASE ${provider} WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END AS "localeProvider",
            ${locale} AS locale, ${rules} AS "icuRules"
       FROM pg_catalog.pg_database d WHERE d.datname = current_database()`,
  )
}
