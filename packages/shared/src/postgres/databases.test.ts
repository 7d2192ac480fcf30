import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import { listDatabases } from './databases.ts'
import { rejection, testServer } from './test-server.ts'

const shared = testServer({ beforeAll, afterAll })

describe('the databases of a server', () => {
  it('are those to which the role may connect; templates, closed and unfinished ones are none', async () => {
    for (const name of ['shop', '"odd name.ü"', 'shut', 'nobody', 'model', 'securyflex_restore_00c0ffee'])
      await shared.run(`CREATE DATABASE ${name}`)
    await shared.run(`REVOKE CONNECT ON DATABASE shut FROM PUBLIC`)
    await shared.run(`ALTER DATABASE nobody ALLOW_CONNECTIONS false`)
    await shared.run(`ALTER DATABASE model IS_TEMPLATE true; CREATE ROLE reader LOGIN PASSWORD 'open-sesame'`)
    const reader = { ...shared.connection(), user: 'reader', password: new Secret('open-sesame') }
    expect(await listDatabases(reader)).toEqual({
      open: ['odd name.ü', 'postgres', 'shop'],
      closed: ['shut'],
    })
    expect((await listDatabases(shared.connection())).open).toContain('shut')
  })

  it('of one that does not answer are unknown, with the reason', async () => {
    const nowhere = { ...shared.connection(), hosts: [{ host: '127.0.0.1', port: 1 }] }
    expect(await rejection(listDatabases(nowhere))).toMatchObject({ code: 'DATABASE_UNREACHABLE' })
  })
})
