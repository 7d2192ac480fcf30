import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import { dumpArchive, dumpGlobals, looksLikeArchive } from './dump.ts'
import { refuseUnreadable } from './readable.ts'
import { holdSnapshot, type Snapshot } from './snapshot.ts'
import { findTools, type Tools } from './tools.ts'
import { rejection, testServer, until } from './test-server.ts'

const shared = testServer({ beforeAll, afterAll })
let tools: Tools
beforeAll(async () => {
  tools = await findTools(shared.server.major)
})

async function snapshotOf(database: string): Promise<Snapshot> {
  return holdSnapshot(await shared.open(shared.connection(database)), 'dump')
}

describe('dumpArchive', () => {
  it('dumps the moment of the snapshot', async () => {
    const database = await shared.database()
    await shared.run(`CREATE TABLE item (name text); INSERT INTO item VALUES ('before')`, database)
    const snapshot = await snapshotOf(database)
    await shared.run(`INSERT INTO item VALUES ('afterwards')`, database)
    const tool = dumpArchive(tools, shared.connection(database), snapshot.id)
    const archive = await buffer(tool.stdout)
    await tool.done
    await snapshot.confirm()
    await snapshot.release()
    expect(looksLikeArchive(archive)).toBe(true)
    expect(archive.includes('before')).toBe(true)
    expect(archive.includes('afterwards')).toBe(false)
  })

  it('says that a row is longer than PostgreSQL can write', async () => {
    const database = await shared.database()
    const bits = `B'0'::bit(83886080)::bit varying`
    await shared.run(
      `CREATE TABLE long AS SELECT ${Array.from({ length: 14 }, () => bits).join(' || ')} AS bits`,
      database,
    )
    const snapshot = await snapshotOf(database)
    const tool = dumpArchive(tools, shared.connection(database), snapshot.id)
    tool.stdout.resume()
    expect(await rejection(tool.done)).toMatchObject({
      code: 'DUMP_FAILED',
      class: 'permanent',
      message: expect.stringMatching(/^pg_dump met a row or value of more than 1 GB as text/),
    })
    await snapshot.release()
  })

  it('shows no password in its arguments, ends when it is aborted, and leaves no session behind', async () => {
    const database = await shared.database()
    await shared.run('CREATE TABLE held (id int)', database)
    const blocker = await shared.open(shared.connection(database))
    const snapshot = await snapshotOf(database)
    await blocker.query('BEGIN; LOCK TABLE held')
    const controller = new AbortController()
    const tool = dumpArchive(tools, shared.connection(database), snapshot.id, controller.signal)
    const waiting = `SELECT FROM pg_stat_activity WHERE application_name LIKE '%dump' AND datname = '${database}'`
    const watcher = await shared.open()
    await until(async () => (await watcher.query(`${waiting} AND wait_event_type = 'Lock'`)).rowCount === 1)
    const password = shared.connection().password?.reveal() ?? ''
    const commandLine = await readFile(`/proc/${tool.pid ?? 0}/cmdline`, 'utf8')
    expect(commandLine).toContain('pg_dump')
    expect(commandLine).not.toContain(password)
    controller.abort()
    expect(await rejection(tool.done)).toMatchObject({ code: 'CANCELLED', message: 'pg_dump was stopped.' })
    expect(() => process.kill(tool.pid ?? 0, 0)).toThrow('ESRCH')
    await blocker.query('ROLLBACK')
    await until(async () => (await watcher.query(waiting)).rowCount === 0)
    await snapshot.release()
  })

  it('gives up waiting for a lock, as something that passes', async () => {
    const database = await shared.database()
    await shared.run('CREATE TABLE held (id int)', database)
    const blocker = await shared.open(shared.connection(database))
    const snapshot = await snapshotOf(database)
    await blocker.query('BEGIN; LOCK TABLE held')
    const tool = dumpArchive(tools, shared.connection(database), snapshot.id)
    expect(await rejection(text(tool.stdout))).toMatchObject({
      code: 'DUMP_FAILED',
      class: 'transient',
      message: expect.stringContaining('waited too long for a lock'),
    })
    await blocker.query('ROLLBACK')
    await snapshot.release()
  })

  it('says that its snapshot is gone', async () => {
    const tool = dumpArchive(tools, shared.connection(), '00000003-0000001B-1')
    expect(await rejection(text(tool.stdout))).toMatchObject({ code: 'SNAPSHOT_LOST', class: 'transient' })
  })

  it('says that its connection was ended', async () => {
    const database = await shared.database()
    await shared.run('CREATE TABLE held (id int)', database)
    const blocker = await shared.open(shared.connection(database))
    const snapshot = await snapshotOf(database)
    await blocker.query('BEGIN; LOCK TABLE held')
    const tool = dumpArchive(tools, shared.connection(database), snapshot.id)
    const failed = rejection(text(tool.stdout))
    const watcher = await shared.open()
    await until(async () => {
      const ended = await watcher.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name LIKE '%dump' AND datname = '${database}' AND wait_event_type = 'Lock'`)
      return ended.rowCount === 1
    })
    expect(await failed).toMatchObject({ code: 'DATABASE_UNREACHABLE', class: 'transient' })
    await blocker.query('ROLLBACK')
    await snapshot.release()
  })

  it('says which table it may not read', async () => {
    const database = await shared.database()
    await shared.run(
      `CREATE TABLE secret (id int); CREATE ROLE stranger LOGIN PASSWORD 'open-sesame'`,
      database,
    )
    const connection = {
      ...shared.connection(database),
      user: 'stranger',
      password: new Secret('open-sesame'),
    }
    const snapshot = await holdSnapshot(await shared.open(connection), 'dump')
    const tool = dumpArchive(tools, connection, snapshot.id)
    const error = await rejection(text(tool.stdout))
    expect(error).toMatchObject({
      code: 'DATABASE_REFUSED',
      class: 'permanent',
      message: expect.stringContaining('table secret'),
    })
    await snapshot.release()
  })
})

describe('a pg_dump that misbehaves (a fake one)', () => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fake-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  async function fake(script: string): Promise<Tools> {
    const path = join(directory, `pg_dump-${Math.random()}`)
    await writeFile(path, `#!/bin/sh\n${script}\n`)
    await chmod(path, 0o755)
    return { ...tools, pg_dump: path }
  }

  it('prints half and exits with 1: no end is reached', async () => {
    const tool = dumpArchive(await fake('printf PGDMP; exit 1'), shared.connection(), 'x')
    const chunks: Buffer[] = []
    const reading = (async () => {
      for await (const chunk of tool.stdout) chunks.push(chunk as Buffer)
    })()
    expect(await rejection(reading)).toMatchObject({ code: 'DUMP_FAILED' })
    expect(Buffer.concat(chunks).toString()).toBe('PGDMP')
  })

  it('prints half and is killed: the signal is named', async () => {
    const tool = dumpArchive(await fake('printf PGDMP; kill -TERM $$'), shared.connection(), 'x')
    expect(await rejection(text(tool.stdout))).toMatchObject({
      message: expect.stringMatching(/was killed by SIGTERM/),
    })
  })

  it('prints nothing and exits with 0: that is no archive', async () => {
    const tool = dumpArchive(await fake('exit 0'), shared.connection(), 'x')
    const output = await buffer(tool.stdout)
    await tool.done
    expect(looksLikeArchive(output)).toBe(false)
  })

  it('is too old for the server', async () => {
    const said =
      'pg_dump: error: server version: 17.2; pg_dump version: 15.1\npg_dump: error: aborting because of server version mismatch'
    const tool = dumpArchive(await fake(`echo '${said}' >&2; exit 1`), shared.connection(), 'x')
    expect(await rejection(text(tool.stdout))).toMatchObject({ code: 'TOOL_TOO_OLD', class: 'permanent' })
  })
})

describe('dumpGlobals', () => {
  it('holds roles with the hashes of their passwords for who may read them, and without for others', async () => {
    const database = await shared.database()
    await shared.run(
      `CREATE ROLE app LOGIN PASSWORD 'open-sesame'; CREATE ROLE backup LOGIN PASSWORD 'open-sesame'`,
    )
    const asSuperuser = await dumpGlobals(tools, shared.connection(database))
    expect(await text(asSuperuser.stdout)).toMatch(/ALTER ROLE app .* PASSWORD 'SCRAM-SHA-256/)
    const asOther = await dumpGlobals(tools, {
      ...shared.connection(database),
      user: 'backup',
      password: new Secret('open-sesame'),
    })
    const output = await text(asOther.stdout)
    expect(output).toMatch(/ALTER ROLE app /)
    expect(output).not.toMatch(/SCRAM/)
    expect([asSuperuser.rolePasswords, asOther.rolePasswords]).toEqual([true, false])
  })

  it('takes a name of a database for a name, whatever it looks like', async () => {
    const name = `a=b '\\ postgresql://x`
    await shared.run(`CREATE DATABASE "${name}"`)
    const tool = await dumpGlobals(tools, shared.connection(name))
    expect(await text(tool.stdout)).toMatch(/CREATE ROLE postgres/)
  })
})

describe('refuseUnreadable', () => {
  async function reader(database: string, rights: string): Promise<() => Promise<void>> {
    const role = `reader_${database}`
    await shared.run(
      `CREATE ROLE ${role} LOGIN PASSWORD 'open-sesame'; ${rights.replaceAll('reader', role)}`,
      database,
    )
    const connection = { ...shared.connection(database), user: role, password: new Secret('open-sesame') }
    const client = await shared.open(connection)
    return () => refuseUnreadable(client)
  }

  it('names everything that the role may not read, and what grants it', async () => {
    const database = await shared.database()
    await shared.run(
      'CREATE SCHEMA "Büro"; CREATE TABLE "Büro"."offene Posten" (id serial); CREATE TABLE open (id int); CREATE TABLE shut (id int)',
      database,
    )
    const ask = await reader(database, 'GRANT SELECT ON open TO reader')
    expect(await rejection(ask())).toMatchObject({
      code: 'DATABASE_REFUSED',
      message: `The role "reader_${database}" may not read 2 tables and 1 sequence of database "${database}": Büro.offene Posten, Büro.offene Posten_id_seq, public.shut.`,
      hint: `Type as a superuser: GRANT pg_read_all_data TO "reader_${database}";`,
    })
  })

  it('is content when everything can be read, and a dump then succeeds', async () => {
    const database = await shared.database()
    await shared.run(
      `CREATE TABLE item (id serial); CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM item;
      CREATE SCHEMA other; CREATE TABLE other.part (k int) PARTITION BY LIST (k); CREATE TABLE other.part_1 PARTITION OF other.part FOR VALUES IN (1)`,
      database,
    )
    const ask = await reader(
      database,
      `GRANT USAGE ON SCHEMA other TO reader; GRANT SELECT ON item, other.part, other.part_1 TO reader; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO reader`,
    )
    await ask()
    const connection = {
      ...shared.connection(database),
      user: `reader_${database}`,
      password: new Secret('open-sesame'),
    }
    const snapshot = await holdSnapshot(await shared.open(connection), 'dump')
    expect(looksLikeArchive(await buffer(dumpArchive(tools, connection, snapshot.id).stdout))).toBe(true)
    await snapshot.release()
  })

  it('names tables whose rows row security would hide', async () => {
    const database = await shared.database()
    await shared.run('CREATE TABLE tenant (id int); ALTER TABLE tenant ENABLE ROW LEVEL SECURITY', database)
    const ask = await reader(database, 'GRANT pg_read_all_data TO reader')
    expect(await rejection(ask())).toMatchObject({
      code: 'DATABASE_REFUSED',
      message: expect.stringContaining('Row security would hide rows of 1 table'),
      hint: `Type as a superuser: ALTER ROLE "reader_${database}" BYPASSRLS;`,
    })
    await shared.run(`ALTER ROLE "reader_${database}" BYPASSRLS`)
    await ask()
  })

  it('counts large objects that the role may not read, and its remedy works as it is', async () => {
    const database = await shared.database()
    await shared.run(`SELECT lo_from_bytea(0, 'x'); SELECT lo_from_bytea(0, 'y')`, database)
    const ask = await reader(database, 'GRANT pg_read_all_data TO reader')
    const error = await rejection(ask())
    expect(error).toMatchObject({ message: expect.stringContaining('may not read 2 large objects') })
    await shared.run((error as { hint: string }).hint.replace('Type as a superuser: ', ''), database)
    await ask()
  })
})
