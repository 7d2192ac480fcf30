import { describe, expect } from '@jest/globals'
import pg from 'pg'
import { startMajor, testWith } from '../../../../../test/helpers/majors.ts'
import { administrationUrl } from '../../../../../test/helpers/postgres.ts'
import { takeFingerprint } from './take.ts'

describe('takeFingerprint on PostgreSQL 17', () => {
  testWith(17)('is not ended by a limit on transactions, and leaves it as it was', async () => {
    await using server = await startMajor(17)
    const client = new pg.Client(await administrationUrl(server.access))
    await client.connect()
    await client.query(`CREATE TABLE many AS SELECT n, repeat('x', 100) FROM generate_series(1, 600000) AS n`)
    await client.query(`SET transaction_timeout TO '300ms'`)
    const { tables } = await takeFingerprint(client, 'checksums')
    expect(tables).toMatchObject([{ name: 'many', rows: 600_000 }])
    expect((await client.query('SHOW transaction_timeout')).rows).toEqual([{ transaction_timeout: '300ms' }])
    await client.end()
  })
})
