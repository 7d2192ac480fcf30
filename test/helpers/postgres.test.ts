import { describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { administrationUrl, createDatabase } from './postgres.ts'

describe('a database of one test', () => {
  it('is empty and takes statements', async () => {
    await using database = await createDatabase()
    await database.query('create table item (id int)')
    const { rows } = await database.query(
      'select count(*)::int as tables from pg_tables where schemaname = $1',
      ['public'],
    )
    expect(rows).toEqual([{ tables: 1 }])
  })

  it('is apart from another one of the same server', async () => {
    await using first = await createDatabase()
    await using second = await createDatabase()
    expect([first.port, first.name === second.name]).toEqual([second.port, false])
  })

  it('goes although somebody is still connected', async () => {
    const database = await createDatabase()
    const client = new pg.Client(database.url)
    client.on('error', () => undefined)
    await client.connect()
    await database.drop()
    const administrator = new pg.Client(await administrationUrl())
    await administrator.connect()
    const { rowCount } = await administrator.query('select from pg_database where datname = $1', [
      database.name,
    ])
    await administrator.end()
    expect(rowCount).toBe(0)
  })
})
