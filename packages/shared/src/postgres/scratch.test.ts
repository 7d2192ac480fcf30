import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { BackupError, Secret } from '@securyflex/shared/errors'
import type pg from 'pg'
import { openConnection } from './connect.ts'
import { createDatabase, dropDatabase } from './database.ts'
import { type Scratch, underScratchName, unfinishedRestores } from './scratch.ts'
import { rejection, testServer, until } from './test-server.ts'

const shared = testServer({ beforeAll, afterAll })
const unaborted = new AbortController().signal
let client: pg.Client

beforeEach(async () => {
  client = await openConnection(shared.connection(), { applicationName: 'test' })
})

afterEach(async () => {
  await client.end()
})

/** Databases that tests made, in order. */
async function databases(): Promise<string[]> {
  const session = await shared.open()
  const { rows } = await session.query<{ name: string }>(
    `SELECT datname AS name FROM pg_database WHERE datname !~ '^(postgres|template[01]|database_\\d+)$' ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

function restore<Result>(
  name: string,
  work: (scratch: Scratch) => Promise<Result>,
  { session = client, signal = unaborted, connection = shared.connection() } = {},
): Promise<Result> {
  return underScratchName(session, connection, name, signal, work)
}

const create = ({ name }: Scratch) => createDatabase(shared.connection(), name)

describe('a database under a scratch name', () => {
  it('gets its own when it is whole, with all that is recorded of the database itself', async () => {
    await shared.run('CREATE ROLE somebody')
    const seen = await restore('Shop "one"', async (scratch) => {
      await create(scratch)
      await shared.run(
        `ALTER DATABASE ${scratch.name} SET search_path TO elsewhere; COMMENT ON DATABASE ${scratch.name} IS 'kept';
         ALTER ROLE somebody IN DATABASE ${scratch.name} SET work_mem TO '5MB'; GRANT CREATE ON DATABASE ${scratch.name} TO somebody;
         ALTER DATABASE ${scratch.name} CONNECTION LIMIT 7; ALTER DATABASE ${scratch.name} OWNER TO somebody`,
      )
      await shared.run(
        `CREATE PUBLICATION all_of_it FOR ALL TABLES;
         CREATE FUNCTION public.noticed() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER notices ON ddl_command_end EXECUTE FUNCTION public.noticed();
         CREATE SUBSCRIPTION far CONNECTION 'host=127.0.0.1 port=1' PUBLICATION one WITH (connect = false, slot_name = 'x')`,
        scratch.name,
      )
      return { name: scratch.name, while: await databases() }
    })
    expect(seen.name).toMatch(/^securyflex_restore_[0-9a-f]{8}$/)
    expect(seen.while).toEqual([seen.name])
    expect(await databases()).toEqual(['Shop "one"'])
    const there = await openConnection(shared.connection('Shop "one"'), { applicationName: 'test' })
    const { rows } = await there.query(
      `SELECT current_setting('search_path') AS path, shobj_description(d.oid, 'pg_database') AS comment, datconnlimit AS limit,
              pg_get_userbyid(datdba) AS owner, array_to_string(datacl, ' ') AS privileges,
              (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole > 0) AS "ofRole",
              (SELECT array_agg(evtname::text) FROM pg_event_trigger) AS triggers, (SELECT array_agg(subname::text) FROM pg_subscription WHERE subdbid = d.oid) AS subscriptions
         FROM pg_database d WHERE datname = current_database()`,
    )
    await there.end()
    expect(rows).toEqual([
      {
        path: 'elsewhere',
        comment: 'kept',
        limit: 7,
        owner: 'somebody',
        privileges: expect.stringContaining('somebody=CTc/somebody'),
        ofRole: ['work_mem=5MB'],
        triggers: ['notices'],
        subscriptions: ['far'],
      },
    ])
    await dropDatabase(shared.connection(), 'Shop "one"')
  })

  it('is dropped when the work fails, also if it is a template by then', async () => {
    const failure = new BackupError('COMPARISON_FAILED', 'It is not the same.')
    const attempt = restore('shop', async (scratch) => {
      await create(scratch)
      await shared.run(`ALTER DATABASE ${scratch.name} IS_TEMPLATE true`)
      throw failure
    })
    expect(await rejection(attempt)).toBe(failure)
    expect(await databases()).toEqual([])
  })

  it('does not take a name that was taken meanwhile', async () => {
    const attempt = restore('shop', async (scratch) => {
      await create(scratch)
      await shared.run('CREATE DATABASE shop')
      await shared.run('CREATE TABLE precious (id int)', 'shop')
    })
    expect(await rejection(attempt)).toMatchObject({
      code: 'DATABASE_EXISTS',
      message: 'Somebody created a database "shop" during the restore; it was left alone.',
    })
    expect(await databases()).toEqual(['shop'])
    await shared.run('SELECT FROM precious', 'shop')
    await dropDatabase(shared.connection(), 'shop')
  })

  it('gets its name also while somebody looks into it', async () => {
    let looker: pg.Client | undefined
    await restore('looked_at', async (scratch) => {
      await create(scratch)
      looker = await openConnection(shared.connection(scratch.name), { applicationName: 'monitor' })
    })
    expect(await databases()).toEqual(['looked_at'])
    await looker?.end()
    await dropDatabase(shared.connection(), 'looked_at')
  })

  it('belongs to a role that is no superuser, too', async () => {
    await shared.run(`CREATE ROLE creator LOGIN CREATEDB PASSWORD 'open-sesame'`)
    const connection = { ...shared.connection(), user: 'creator', password: new Secret('open-sesame') }
    const session = await openConnection(connection, { applicationName: 'test' })
    await restore('modest', ({ name }) => createDatabase(connection, name), { session, connection })
    await session.end()
    expect(await databases()).toEqual(['modest'])
    await dropDatabase(shared.connection(), 'modest')
  })

  it('is given up when the session that vouches for it is ended', async () => {
    const attempt = restore('shop', async (scratch) => {
      await create(scratch)
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      await shared.run(`SELECT pg_terminate_backend(${String(rows[0]?.pid)})`)
      await until(() => scratch.signal.aborted)
    })
    expect(await rejection(attempt)).toMatchObject({
      code: 'DATABASE_UNREACHABLE',
      message: 'The connection that watches over the restore ended.',
    })
    expect(await databases()).toEqual([])
  })

  it('is refused while another restore into the same name goes on', async () => {
    const other = await openConnection(shared.connection(), { applicationName: 'test' })
    const second = restore('shop', () => restore('shop', create), { session: other })
    expect(await rejection(second)).toMatchObject({
      code: 'DATABASE_BUSY',
      message: 'Another restore into "shop" is going on.',
    })
    await other.end()
    expect(await databases()).toEqual([])
  })

  it.each(['securyflex_restore_0123abcd', 'é'.repeat(32), ''])(
    'cannot be meant for the name "%s"',
    async (name) => {
      expect(await rejection(restore(name, create))).toMatchObject({ code: 'USAGE' })
    },
  )
})

describe('unfinished restores', () => {
  it('are those whose session is gone, with the line that drops them', async () => {
    const killed = 'securyflex_restore_deadbeef'
    const template = 'securyflex_restore_ffffffff'
    await shared.run(`CREATE DATABASE ${killed}`)
    await shared.run(`CREATE DATABASE ${template} IS_TEMPLATE true`)
    await shared.run('CREATE DATABASE securyflex_restore_by_hand')
    const found = await restore('shop', async (scratch) => {
      await create(scratch)
      // Seen from another database than the one in which the lock is held.
      const elsewhere = await openConnection(shared.connection(killed), { applicationName: 'test' })
      return await unfinishedRestores(elsewhere).finally(() => elsewhere.end())
    })
    expect(found).toEqual([
      { name: killed, bytes: expect.any(Number), drop: `DROP DATABASE ${killed} WITH (FORCE);` },
      { name: template, bytes: expect.any(Number), drop: expect.stringMatching(/IS_TEMPLATE false; DROP/) },
    ])
    for (const { drop } of found) for (const statement of drop.split('; ')) await shared.run(statement)
    for (const name of ['shop', 'securyflex_restore_by_hand']) await dropDatabase(shared.connection(), name)
    expect(await databases()).toEqual([])
  })
})
