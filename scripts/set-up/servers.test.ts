import { describe, expect, it } from '@jest/globals'
import { chmodSync, writeFileSync } from 'node:fs'
import { temporaryDirectory } from '../../test/helpers/temporary-directory.ts'
import { findPostgresClient, findPostgresServer, findRedisServer, missingServers } from './servers.mjs'

describe('the programs of this machine', () => {
  it('are found without being named', () => {
    expect(
      missingServers(['postgres-server', 'postgres-client', 'redis-server'], { PATH: '/usr/bin' }),
    ).toEqual([])
  })

  it('are looked for in BACKUP_PG_BIN_DIR first', async () => {
    await using directory = await temporaryDirectory()
    for (const program of ['initdb', 'pg_ctl', 'postgres']) {
      writeFileSync(directory.join(program), '')
      chmodSync(directory.join(program), 0o755)
    }
    expect(findPostgresServer({ BACKUP_PG_BIN_DIR: directory.path })).toBe(directory.path)
  })

  it('are not replaced where BACKUP_PG_BIN_DIR names others: the product says what is wrong there', () => {
    expect(findPostgresClient({ BACKUP_PG_BIN_DIR: '/nowhere' })).toBe('/nowhere')
  })

  it('are taken from the PATH before the usual places', async () => {
    await using directory = await temporaryDirectory()
    writeFileSync(directory.join('redis-server'), '')
    expect(findRedisServer({ PATH: directory.path })).toBe(directory.join('redis-server'))
  })
})
