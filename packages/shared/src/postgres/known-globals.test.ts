import { buffer } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readGlobals } from './known-globals.ts'
import { holdSnapshot } from './snapshot.ts'
import { testServer } from './test-server.ts'
import { findTools, type Tools } from './tools.ts'

const shared = testServer({ beforeAll, afterAll })
let tools: Tools
beforeAll(async () => {
  tools = await findTools(shared.server.major)
})

/** Reads them in a snapshot of their own, as a run does. `using` can be tools that do not exist. */
async function globals(database: string, using = tools, asked: string[] = []): Promise<string> {
  const client = await shared.open(shared.connection(database))
  const snapshot = await holdSnapshot(client, 'globals')
  const signal = new AbortController().signal
  const query = client.query.bind(client) as (text: string, values: unknown[]) => Promise<never>
  const noted = { query: (text: string, values: unknown[]) => (asked.push(text), query(text, values)) }
  // What it knows of a connection it knows by the connection.
  const read = readGlobals(
    using,
    shared.connection(database),
    { ...snapshot, client: Object.assign(client, noted) },
    signal,
  )
  try {
    return (await buffer(Readable.from(read))).toString()
  } finally {
    client.query = query as typeof client.query
    await snapshot.release()
    await client.end()
  }
}

/** As `tools`, and pg_dumpall cannot be started: what is read then was known. */
const absent = () => ({ ...tools, pg_dumpall: '/nowhere/pg_dumpall' })

describe('readGlobals', () => {
  it('starts pg_dumpall once for all databases of a server', async () => {
    const [one, other] = [await shared.database(), await shared.database()]
    await shared.run('CREATE ROLE globals_once')
    const first = await globals(one)
    expect(first).toContain('CREATE ROLE globals_once')
    expect(await globals(other, absent())).toBe(first)
  })

  it.each([
    ['a new role', 'CREATE ROLE globals_new', 'CREATE ROLE globals_new;'],
    ['a password', `ALTER ROLE globals_once PASSWORD 'x'`, 'PASSWORD'],
    ['a membership', 'GRANT globals_new TO globals_once', 'GRANT globals_new TO globals_once'],
    ['a setting', `ALTER ROLE globals_once SET work_mem = '5MB'`, 'work_mem'],
    ['a comment', `COMMENT ON ROLE globals_once IS 'changed'`, 'changed'],
    ['a role that is gone', 'DROP ROLE globals_new', ''],
  ])('starts it again after %s', async (_, change, wanted) => {
    const database = await shared.database()
    await globals(database)
    await globals(database, absent())
    await shared.run(change)
    await expect(globals(database, absent())).rejects.toMatchObject({ code: 'TOOL_MISSING' })
    const now = await globals(database)
    expect(now).toContain(wanted)
    if (wanted === '') expect(now).not.toContain('globals_new')
  })

  it('does not look at the catalogs where nothing was committed on the server since', async () => {
    const [one, other] = [await shared.database(), await shared.database()]
    const first = await globals(one)
    const asked: string[] = []
    expect(await globals(other, absent(), asked)).toBe(first)
    expect(asked).toEqual([])
    await shared.run('CREATE TABLE unrelated ()', other)
    expect(await globals(one, absent(), asked)).toBe(first)
    expect(asked.join()).toContain('pg_authid')
    asked.length = 0
    expect(await globals(other, absent(), asked)).toBe(first)
    expect(asked).toEqual([])
  })

  it('asks again each time where the role may not see all of it, and keeps the snapshot', async () => {
    const database = await shared.database()
    await shared.run('CREATE ROLE globals_modest LOGIN')
    const client = await shared.open(shared.connection(database))
    await client.query('SET ROLE globals_modest')
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const [modest, signal] = [{ client, committed: undefined }, new AbortController().signal]
    const read = () => buffer(Readable.from(readGlobals(tools, shared.connection(database), modest, signal)))
    expect((await read()).toString()).not.toContain('PASSWORD')
    await expect(
      buffer(Readable.from(readGlobals(absent(), shared.connection(database), modest, signal))),
    ).rejects.toMatchObject({ code: 'TOOL_MISSING' })
    await expect(client.query('SELECT 1')).resolves.toBeDefined()
    await client.query('ROLLBACK')
  })
})
