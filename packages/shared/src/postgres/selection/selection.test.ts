import { execFile } from 'node:child_process'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Connection, Selection } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import type pg from 'pg'
import { openConnection } from '../connect.ts'
import { dumpArchive } from '../dump.ts'
import { libpqEnvironment } from '../environment.ts'
import { compareFingerprints } from '../fingerprint/compare.ts'
import { takeFingerprint } from '../fingerprint/take.ts'
import { refuseUnreadable } from '../readable.ts'
import { restoreIntoNewDatabase } from '../restore.ts'
import { holdSnapshot } from '../snapshot.ts'
import { rejection, testServer } from '../test-server.ts'
import { findTools, type Tools } from '../tools.ts'
import { selectionArguments } from './arguments.ts'
import { chooseRelations } from './choose.ts'

const run = promisify(execFile)
const shared = testServer({ beforeAll, afterAll })
const nothing: Selection = {
  schemas: [],
  tables: [],
  withoutSchemas: [],
  withoutTables: [],
  withoutTableData: [],
}
let tools: Tools
let source: string
let client: pg.Client

beforeAll(async () => {
  tools = await findTools(shared.server.major)
  source = await shared.database()
  await shared.run(oddNames, source)
  client = await shared.open(shared.connection(source))
})

/** Runs `work` on a connection of its own, which is closed then. */
async function on<T>(connection: Connection, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const own = await openConnection(connection, { applicationName: 'test' })
  return await work(own).finally(() => own.end())
}

/** Names in which everything is that means something in a pattern. */
const oddNames = `
  CREATE TABLE orders (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY);
  INSERT INTO orders DEFAULT VALUES; INSERT INTO orders DEFAULT VALUES;
  CREATE TABLE "Orders" AS SELECT 1 AS id; CREATE TABLE "a.b" AS SELECT 1 AS id; CREATE TABLE "a*b" AS SELECT 1 AS id;
  CREATE TABLE "cost$" AS SELECT 1 AS id; CREATE TABLE "x[]" AS SELECT 1 AS id; CREATE TABLE "a|b" AS SELECT 1 AS id;
  CREATE TABLE "say ""hi""" AS SELECT 1 AS id; CREATE TABLE "Übung" AS SELECT 1 AS id; CREATE TABLE "back\\slash" AS SELECT 1 AS id;
  CREATE TABLE log_1 AS SELECT 1 AS id; CREATE TABLE log_22 AS SELECT 1 AS id; CREATE TABLE logx AS SELECT 1 AS id;
  CREATE SEQUENCE alone START 5; SELECT nextval('alone');
  CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM orders; CREATE VIEW seen AS SELECT * FROM log_1;
  CREATE SCHEMA audit; CREATE TABLE audit.log AS SELECT n AS id FROM generate_series(1, 10) AS n;
  CREATE TABLE audit.orders AS SELECT 1 AS id; CREATE SEQUENCE audit.numbers;
  CREATE SCHEMA "Au.dit"; CREATE TABLE "Au.dit"."L.og" AS SELECT 1 AS id;
  CREATE TABLE part (k int, v text) PARTITION BY HASH (k);
  CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
  CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  INSERT INTO part SELECT n, 'x' FROM generate_series(1, 20) AS n;
  SELECT lo_from_bytea(4711, 'large')`

/** What an archive holds of tables, sequences and materialised views, and of which the data, as pg_restore lists it. */
async function dumped(selection: Selection): Promise<{ things: string[]; data: string[] }> {
  const { stdout } = await run(
    'sh',
    [
      '-c',
      '"$0" --format=custom --no-password "$@" | "$LISTER" --list',
      tools.pg_dump,
      ...selectionArguments(selection),
    ],
    { env: { ...libpqEnvironment(shared.connection(source)), LISTER: tools.pg_restore } },
  )
  const lines = (kind: RegExp) =>
    stdout
      .split('\n')
      .flatMap((line) => kind.exec(line)?.slice(1).join('.') ?? [])
      .sort()
  return {
    things: lines(/^\d+; 1259 \d+ (?:TABLE|SEQUENCE|MATERIALIZED VIEW) (.*) \S+$/),
    data: lines(/^\d+; \d+ \d+ (?:TABLE DATA|SEQUENCE SET|MATERIALIZED VIEW DATA) (.*) \S+$/),
  }
}

/** The same of what `chooseRelations` chooses. */
async function chosen(selection: Selection): Promise<{ things: string[]; data: string[] }> {
  const found = await chooseRelations(client, selection)
  const named = async (oids: readonly string[] | undefined, kinds: string) => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT n.nspname || ' ' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = ANY ($1) AND c.relkind = ANY (string_to_array($2, ',')::"char"[])
          AND n.nspname NOT LIKE ALL ('{pg\\_%,information_schema}')`,
      [oids, kinds],
    )
    return rows.map(({ name }) => name).sort()
  }
  return { things: await named(found?.dumped, 'r,p,S,m'), data: await named(found?.data, 'r,S,m') }
}

const cases: [string, Partial<Selection>][] = [
  ['one table', { tables: ['orders'] }],
  ['a folded name', { tables: ['ORDERS'] }],
  ['a quoted name', { tables: ['"Orders"'] }],
  ['a name with a dot', { tables: ['"a.b"'] }],
  ['a star in quotes', { tables: ['"a*b"'] }],
  ['a star', { tables: ['a*b'] }],
  ['a dollar', { tables: ['cost$'] }],
  ['brackets', { tables: ['x[]'] }],
  ['an alternative', { tables: ['logx|orders'] }],
  ['a bar in quotes', { tables: ['"a|b"'] }],
  ['quotes in quotes', { tables: ['"say ""hi"""'] }],
  ['a letter that is not ASCII', { tables: ['"Übung"'] }],
  ['a letter that is not ASCII, outside quotes', { tables: ['Übung'] }],
  ['a backslash in quotes', { tables: ['"back\\slash"'] }],
  ['question marks', { tables: ['log_?'] }],
  ['a class of letters', { tables: ['log_[0-9]+'] }],
  ['what is to be seen without a schema', { tables: ['o*'] }],
  ['all of a schema', { tables: ['audit.*'] }],
  ['a name in any schema', { tables: ['*.orders'] }],
  ['a schema and a name in quotes', { tables: ['"Au.dit"."L.og"'] }],
  ['a sequence', { tables: ['alone'] }],
  ['a partitioned table without its parts', { tables: ['part'] }],
  ['a part alone', { tables: ['part_0'] }],
  ['a materialised view', { tables: ['total'] }],
  ['a schema', { schemas: ['audit'] }],
  ['schemas', { schemas: ['aud*', '"Au.dit"'] }],
  ['a schema without a table', { schemas: ['audit'], withoutTables: ['audit.log'] }],
  ['a schema and a table, which wins', { schemas: ['audit'], tables: ['log_1'] }],
  ['a table whose schema is left out', { tables: ['audit.log'], withoutSchemas: ['audit'] }],
  ['schemas but one', { schemas: ['*'], withoutSchemas: ['audit', 'pg_*', 'information_schema'] }],
  ['everything but a schema', { withoutSchemas: ['audit'] }],
  ['everything but a table and its identity', { withoutTables: ['orders'] }],
  ['everything but a sequence that a table owns', { withoutTables: ['orders_id_seq'] }],
  ['everything but an identity', { withoutTables: ['orders_n_seq'] }],
  ['everything but the rows of some', { withoutTableData: ['audit.*', 'log_?'] }],
  ['everything but all rows', { withoutTableData: ['*.*'] }],
  ['everything but the rows of a partitioned table, which has none', { withoutTableData: ['part'] }],
  ['a table without its rows', { tables: ['orders', 'log_1'], withoutTableData: ['orders*'] }],
  ['everything but what does not exist', { withoutTables: ['nowhere.*'] }],
]

describe('a selection', () => {
  it.each(cases)('of %s chooses what pg_dump chooses', async (_, some) => {
    const selection = { ...nothing, ...some }
    const expected = await dumped(selection)
    expect(expected.things.length).toBeGreaterThan(0)
    expect(await chosen(selection)).toEqual(expected)
  })

  it.each(cases.filter(([title]) => restorable(title)))(
    'of %s has the fingerprint of its restored copy',
    async (_, some) => {
      const selection = { ...nothing, ...some }
      const [expected, archive] = await on(shared.connection(source), async (reader) => {
        const snapshot = await holdSnapshot(reader, 'selection')
        const fingerprint = await takeFingerprint(reader, 'checksums', selection)
        const tool = dumpArchive(tools, shared.connection(source), snapshot.id, undefined, selection)
        const bytes = await buffer(tool.stdout)
        await tool.done
        await snapshot.release()
        return [fingerprint, bytes]
      })
      await restoreIntoNewDatabase(tools, shared.connection(), 'copy', {}, Readable.from([archive]))
      const found = await on(shared.connection('copy'), (reader) => takeFingerprint(reader, 'checksums'))
      await shared.run('DROP DATABASE copy')
      const { differences, notes } = compareFingerprints(expected, found)
      expect({ differences, notes }).toEqual({ differences: [], notes: [] })
    },
  )

  it('is refused where it names something that does not exist, as pg_dump refuses it', async () => {
    const selection = { ...nothing, tables: ['orders', 'ordesr'] }
    expect(await rejection(chooseRelations(client, selection))).toMatchObject({
      code: 'CONFIG_INVALID',
      class: 'user',
      message: `The pattern “ordesr” of include.tables matches no table of database "${source}".`,
    })
    await expect(dumped(selection)).rejects.toThrow(/no matching tables/)
    expect(await rejection(chooseRelations(client, { ...nothing, schemas: ['audti'] }))).toMatchObject({
      message: expect.stringContaining('“audti” of include.schemas matches no schema'),
    })
  })

  it('that leaves out what does not exist says so', async () => {
    const selection = {
      ...nothing,
      withoutSchemas: ['gone'],
      withoutTables: ['x.y'],
      withoutTableData: ['audit.log'],
    }
    expect((await chooseRelations(client, selection))?.unmatched).toEqual([
      `The pattern “gone” of exclude.schemas matches no schema of database "${source}".`,
      `The pattern “x.y” of exclude.tables matches no table of database "${source}".`,
    ])
  })

  it.each([
    [{ schemas: ['a.b'] }, /has too many dots/],
    [{ tables: ['a.b.c'] }, /has too many dots/],
    [{ tables: ['a('] }, /is no pattern/],
    [{ tables: ['pg_cla*'] }, /the server's own tables, pg_class for one/],
  ])('%j is refused', async (some, message) => {
    expect(await rejection(chooseRelations(client, { ...nothing, ...some }))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    })
  })

  it('says what a restore will miss', async () => {
    const database = await shared.database()
    await shared.run(
      `CREATE TABLE customer (id int PRIMARY KEY); CREATE TABLE sale (customer int REFERENCES customer);
       CREATE TABLE event (k int) PARTITION BY LIST (k); CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1)`,
      database,
    )
    const missed = (some: Partial<Selection>) =>
      on(shared.connection(database), async (other) => {
        return (await chooseRelations(other, { ...nothing, ...some }))?.missed
      })
    expect(await missed({ withoutTables: ['customer', 'event'] })).toEqual([
      'Table event_1 needs event, which is left out: a restore will stop there.',
      'Table sale needs customer, which is left out: a restore will stop there.',
    ])
    expect(await missed({ withoutTableData: ['customer', 'event'] })).toEqual([
      'Table sale needs the rows of customer, which are left out: a restore will stop there.',
    ])
    expect(await missed({ withoutTableData: ['sale', 'customer', 'event*'] })).toEqual([])
  })

  it('with letters that pg_dump would read in another encoding is refused', async () => {
    await shared.run(`CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`)
    const refused = on(shared.connection('latin'), (latin) =>
      chooseRelations(latin, { ...nothing, withoutTables: ['Übung'] }),
    )
    expect(await rejection(refused)).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('LATIN1'),
    })
  })

  it('means by a name without a schema what the role sees, as pg_dump does', async () => {
    const parameters = { options: '-c search_path=audit' }
    const found = await on({ ...shared.connection(source), parameters }, (auditor) =>
      chooseRelations(auditor, { ...nothing, tables: ['orders'] }),
    )
    const { rows } = await client.query(`SELECT 'audit.orders'::regclass::oid::text AS oid`)
    expect(found?.dumped).toEqual([(rows[0] as { oid: string }).oid])
  })

  it('that leaves a table out does not need the right to read it; one that leaves out its rows does', async () => {
    const database = await shared.database()
    await shared.run(
      `CREATE TABLE open (id int); CREATE TABLE shut (id serial); SELECT lo_from_bytea(0, 'x');
       CREATE ROLE reader LOGIN PASSWORD 'open-sesame'; GRANT SELECT ON open TO reader`,
      database,
    )
    const connection = { ...shared.connection(database), user: 'reader', password: new Secret('open-sesame') }
    const ask = (some: Partial<Selection>) =>
      on(connection, (reader) => refuseUnreadable(reader, { ...nothing, ...some }))
    await ask({ tables: ['open'] })
    expect(await rejection(ask({ withoutTables: ['shut*'] }))).toMatchObject({
      message: expect.stringContaining('large object'),
    })
    for (const some of [{ withoutTableData: ['shut*'] }, { schemas: ['public'] }]) {
      expect(await rejection(ask(some))).toMatchObject({ message: expect.stringContaining('public.shut') })
    }
    const snapshot = await holdSnapshot(await shared.open(connection), 'reader')
    const selection = { ...nothing, tables: ['open'] }
    const tool = dumpArchive(tools, connection, snapshot.id, undefined, selection)
    tool.stdout.resume()
    await tool.done
    await snapshot.release()
  })
})

/** A table without its schema cannot be restored by itself, nor one that needs what was left out. */
function restorable(title: string): boolean {
  return !/a part alone|schemas but one|all of a schema|any schema|schema and a name|schema is left out|materialised|owns|but a table/.test(
    title,
  )
}
