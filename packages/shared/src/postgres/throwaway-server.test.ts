import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import pg from 'pg'
import { openConnection } from './connect.ts'
import { startThrowawayServer } from './throwaway-server.ts'

describe('startThrowawayServer', () => {
  it('starts a server that only its password opens, on no network, and leaves nothing behind', async () => {
    const server = await startThrowawayServer()
    const home = dirname(server.dataDirectory)
    expect((await stat(home)).mode & 0o777).toBe(0o700)
    const client = await openConnection(server.connection, { applicationName: 'test' })
    const { rows } = await client.query<{ listening: string }>(
      `SELECT current_setting('listen_addresses') AS listening`,
    )
    expect(rows).toEqual([{ listening: '' }])
    await client.end()
    await expect(
      openConnection({ ...server.connection, password: undefined }, { applicationName: 'test' }),
    ).rejects.toThrow('asks for the password')
    await server.stop()
    await server.stop()
    expect(existsSync(home)).toBe(false)
    expect(() => process.kill(server.pid, 0)).toThrow('ESRCH')
  })

  it('listens on loopback when asked, and its connection string works as it is', async () => {
    await using server = await startThrowawayServer({
      listen: 'loopback',
      settings: { wal_level: 'minimal', max_wal_senders: '0' },
    })
    const client = new pg.Client(server.connectionString)
    await client.connect()
    const { rows } = await client.query<{ level: string }>(`SELECT current_setting('wal_level') AS level`)
    await client.end()
    expect(rows).toEqual([{ level: 'minimal' }])
  })

  it('says why a server did not start, and removes its directory', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'start-'))
    await chmod(directory, 0o711)
    await expect(
      startThrowawayServer({ directory, settings: { shared_buffers: 'lots' } }),
    ).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('shared_buffers'),
    })
    expect(await readdir(directory)).toEqual([])
    await rm(directory, { recursive: true })
  })

  it('says what to install when there is no server, or none that is new enough', async () => {
    await expect(startThrowawayServer({ binDirectory: '/nowhere' })).rejects.toMatchObject({
      code: 'TOOL_MISSING',
      hint: expect.stringMatching(/install postgresql\.$/),
    })
    await expect(startThrowawayServer({ major: 99 })).rejects.toMatchObject({
      code: 'TOOL_MISSING',
      hint: expect.stringMatching(/install postgresql[-@]99\.$/),
    })
  })
})
