import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { openConnection } from './connect.ts'
import { databaseSize, mayCreateDatabase, serverFacts } from './server-facts.ts'
import { holdSnapshot } from './snapshot.ts'
import { takeFingerprint } from './fingerprint/take.ts'
import { startThrowawayServer } from './throwaway-server.ts'
import { rejection, testServer, until } from './test-server.ts'

const shared = testServer({ beforeAll, afterAll })

describe('holdSnapshot', () => {
  it('keeps showing the database as it was, also to another session', async () => {
    const database = await shared.database()
    await shared.run('CREATE TABLE item (id int); INSERT INTO item VALUES (1)', database)
    const snapshot = await holdSnapshot(await shared.open(shared.connection(database)), 'shop')
    await shared.run('INSERT INTO item VALUES (2)', database)
    const other = await shared.open(shared.connection(database))
    await other.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '${snapshot.id}'`)
    for (const client of [snapshot.client, other]) {
      expect((await client.query('SELECT id FROM item')).rows).toEqual([{ id: 1 }])
    }
    await other.query('ROLLBACK')
    expect(Math.abs(snapshot.takenAt.getTime() - Date.now())).toBeLessThan(60_000)
    await snapshot.confirm()
    await snapshot.release()
    await snapshot.release()
    expect((await snapshot.client.query('SELECT id FROM item')).rowCount).toBe(2)
  })

  it('is read-only', async () => {
    const snapshot = await holdSnapshot(await shared.open(), 'read-only')
    await expect(snapshot.client.query('CREATE TABLE never (id int)')).rejects.toThrow(
      'read-only transaction',
    )
    await snapshot.release()
  })

  it('is refused while another session holds the lock of that name, and given afterwards', async () => {
    const first = await holdSnapshot(await shared.open(), 'busy')
    const client = await shared.open()
    expect(await rejection(holdSnapshot(client, 'busy'))).toMatchObject({
      code: 'DATABASE_BUSY',
      class: 'transient',
    })
    const other = await holdSnapshot(await shared.open(), 'another')
    await first.release()
    await (await holdSnapshot(client, 'busy')).release()
    await other.release()
  })

  it('switches off every timeout that the role has', async () => {
    await shared.run(`CREATE ROLE hurried LOGIN SUPERUSER PASSWORD 'x';
      ALTER ROLE hurried SET statement_timeout = 1; ALTER ROLE hurried SET idle_in_transaction_session_timeout = 1`)
    const client = await shared.open({
      ...shared.connection(),
      user: 'postgres',
      parameters: { options: '-c statement_timeout=1h -c idle_in_transaction_session_timeout=1h' },
    })
    const snapshot = await holdSnapshot(client, 'timeouts')
    const { rows } = await client.query<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout',
              'transaction_timeout', 'lock_timeout', 'client_connection_check_interval') ORDER BY name`,
    )
    await snapshot.release()
    expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toMatchObject({
      statement_timeout: '0',
      idle_in_transaction_session_timeout: '0',
      lock_timeout: '10000',
    })
  })

  it('tells when its connection ends', async () => {
    const snapshot = await holdSnapshot(
      await openConnection(shared.connection(), { applicationName: 'doomed' }),
      'doomed',
    )
    await shared.run(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'`,
    )
    const error = await rejection(snapshot.lost)
    expect(error).toMatchObject({ code: 'SNAPSHOT_LOST', class: 'transient' })
    expect(snapshot.lostSignal.reason).toBe(error)
    expect(await rejection(snapshot.confirm())).toBe(error)
    await snapshot.release()
  })
})

describe('on a standby', () => {
  it('exports a snapshot, counts, and leaves out what cannot be read there', async () => {
    await using server = await startThrowawayServer()
    const client = await openConnection(server.connection, { applicationName: 'test' })
    await client.query(
      'CREATE TABLE item (id int); INSERT INTO item VALUES (1); CREATE UNLOGGED TABLE scratch (id int)',
    )
    await client.end()
    const stop = await asStandby(server.binDirectory, server.dataDirectory)
    try {
      const standby = await openConnection(server.connection, { applicationName: 'test' })
      const snapshot = await holdSnapshot(standby, 'standby')
      expect((await serverFacts(standby)).inRecovery).toBe(true)
      expect(await mayCreateDatabase(standby)).toBe(false)
      const { tables } = await takeFingerprint(standby, 'checksums')
      expect(tables.map(({ name, rows }) => [name, rows])).toEqual([
        ['item', 1],
        ['scratch', null],
      ])
      await snapshot.confirm()
      await snapshot.release()
      await standby.end()
    } finally {
      await stop()
    }
  })

  /** Starts the same data again as a standby that waits for WAL which never comes. */
  async function asStandby(bin: string, data: string): Promise<() => Promise<void>> {
    const { uid, gid } = await stat(data)
    const options = { uid, gid, cwd: data, env: {} }
    await promisify(execFile)(join(bin, 'pg_ctl'), ['-D', data, '-m', 'fast', '-w', 'stop'], options)
    await writeFile(join(data, 'standby.signal'), '')
    const settings = [
      '-c',
      `unix_socket_directories=${dirname(data)}`,
      '-c',
      'listen_addresses=',
      '-c',
      'port=5432',
      '-c',
      'max_connections=60',
    ]
    const standby = spawn(join(bin, 'postgres'), ['-D', data, ...settings], {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let log = ''
    standby.stderr.on('data', (text: Buffer) => (log += text.toString()))
    await until(() => log.includes('ready to accept read-only connections'))
    return async () => {
      standby.kill('SIGQUIT')
      await once(standby, 'exit')
    }
  }
})

describe('serverFacts', () => {
  it('describes server and database, also to a role with no rights', async () => {
    await shared.run(
      `CREATE ROLE nobody_special LOGIN PASSWORD 'x'; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC`,
    )
    const facts = await serverFacts(await shared.open())
    expect(facts).toMatchObject({
      major: shared.server.major,
      database: 'postgres',
      inRecovery: false,
    })
    expect(facts.systemIdentifier).toMatch(/^\d{15,}$/)
    expect(await databaseSize(await shared.open())).toBeGreaterThan(1_000_000)
    const client = await shared.open()
    await client.query('SET ROLE nobody_special')
    expect((await serverFacts(client)).systemIdentifier).toBeUndefined()
    expect(await mayCreateDatabase(client)).toBe(false)
    await client.query('RESET ROLE')
    expect(await mayCreateDatabase(client)).toBe(true)
  })
})
