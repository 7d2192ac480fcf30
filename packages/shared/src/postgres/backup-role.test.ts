import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { parseConnection } from '@securyflex/shared/config'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { createDatabase, type TestDatabase } from '../../../../test/helpers/postgres.ts'
import { backupRoleSql, grantsOf } from './backup-role.ts'
import { openConnection } from './connect.ts'
import { dumpArchive, dumpGlobals } from './dump.ts'
import { refuseUnreadable } from './readable.ts'
import { serverFacts } from './server-facts.ts'
import { holdSnapshot } from './snapshot.ts'
import { findTools } from './tools.ts'

const applicationName = 'test'
const password = 'a password for tests only'
let database: TestDatabase
let role: string

beforeEach(async () => {
  database = await createDatabase()
  role = `backup-${database.name}`
})
afterEach(async () => {
  await database.query(`DROP OWNED BY ${pg.escapeIdentifier(role)}`)
  await database.drop()
  const { href } = new URL('/postgres', database.url)
  const client = await openConnection(parseConnection(href, {}).connection, { applicationName })
  await client.query(`DROP ROLE ${pg.escapeIdentifier(role)}`)
  await client.end()
})

async function asSuperuser<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await openConnection(parseConnection(database.url, {}).connection, { applicationName })
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Everything that a backup asks of the server, as the role. */
async function backUp(): Promise<string> {
  const url = new URL(database.url)
  url.username = role
  url.password = password
  const { connection } = parseConnection(url.href, {})
  const client = await openConnection(connection, { applicationName })
  try {
    await refuseUnreadable(client)
    const tools = await findTools((await serverFacts(client)).major)
    const globals = await dumpGlobals(tools, connection, undefined, client)
    const [sql] = await Promise.all([text(globals.stdout), globals.done])
    expect(sql).toContain(`CREATE ROLE "${role}"`)
    const snapshot = await holdSnapshot(client, 'test')
    const dump = dumpArchive(tools, connection, snapshot.id)
    const [archive] = await Promise.all([text(dump.stdout), dump.done])
    await snapshot.release()
    return archive
  } finally {
    await client.end()
  }
}

const content = `
  CREATE SCHEMA "odd name";
  CREATE TABLE "odd name".notes (id serial PRIMARY KEY, note text);
  INSERT INTO "odd name".notes (note) VALUES ('a note of mine');
  CREATE TABLE guarded AS SELECT 'a guarded row' AS text;
  ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
  SELECT lo_from_bytea(0, 'a large object');
  REVOKE CONNECT ON DATABASE `

describe('the role for backups', () => {
  it('can make a backup with exactly the SQL that is printed, and no more than read', async () => {
    await database.query(`${content} "${database.name}" FROM PUBLIC`)
    const sql = await asSuperuser((client) => backupRoleSql(client, { name: role, password }))
    for (const statement of sql) await database.query(statement)
    const archive = await backUp()
    for (const part of ['a note of mine', 'a guarded row', 'a large object']) expect(archive).toContain(part)
    await expect(
      database.query(`SET ROLE ${pg.escapeIdentifier(role)}; DELETE FROM "odd name".notes; RESET ROLE`),
    ).rejects.toThrow(/permission denied/)
  })

  it('needs each of its lines', async () => {
    await database.query(`${content} "${database.name}" FROM PUBLIC`)
    const sql = await asSuperuser((client) => backupRoleSql(client, { name: role, password }))
    expect(sql).toHaveLength(5)
    for (const statement of sql.slice(0, -1)) {
      await database.query(statement)
      await expect(backUp()).rejects.toMatchObject({ class: 'permanent' })
    }
  })

  it('needs no right for what the database does not have', async () => {
    await database.query('CREATE TABLE plain AS SELECT 1 AS one')
    const sql = await asSuperuser((client) => backupRoleSql(client, { name: role, password }))
    expect(sql).toHaveLength(3)
    for (const statement of sql) await database.query(statement)
    await backUp()
  })

  it('of a server before version 14 reads what there is, and what its owners make later', async () => {
    await database.query('CREATE SCHEMA "odd name"; CREATE TABLE "odd name".notes (id serial, note text)')
    const name = pg.escapeIdentifier(role)
    await database.query(`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`)
    for (const statement of await asSuperuser((client) => grantsOf(client, name)))
      await database.query(statement)
    await database.query(`CREATE TABLE "odd name".later AS SELECT 'made later' AS text`)
    expect(await backUp()).toContain('made later')
  })
})
