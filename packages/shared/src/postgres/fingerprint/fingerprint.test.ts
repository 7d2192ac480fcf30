import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { rejection, testServer } from '../test-server.ts'
import { compareFingerprints } from './compare.ts'
import { type Fingerprint, parseFingerprint } from './fingerprint.ts'
import { takeFingerprint } from './take.ts'

const shared = testServer({ beforeAll, afterAll })

async function fingerprintOf(database: string, settings = ''): Promise<Fingerprint> {
  const client = await shared.open(shared.connection(database))
  await client.query(settings)
  return takeFingerprint(client, 'checksums')
}

/** The differences after `change` in the second of two databases that `statements` made. */
async function differencesAfter(statements: string, change: string): Promise<readonly string[]> {
  const [left, right] = [await shared.database(), await shared.database()]
  await shared.run(statements, left)
  await shared.run(`${statements}; ${change}`, right)
  return compareFingerprints(await fingerprintOf(left), await fingerprintOf(right)).differences
}

const values = `CREATE TABLE item (at timestamptz, d date, i interval, f float8, r real, b bytea, m money, j jsonb, c regclass);
  INSERT INTO item VALUES ('2026-01-02 03:04:05.678+09', '2026-11-23', '1 mon 2 days -3:04', 0.1 + 0.2, 1e-7, '\\x00ff5c', '1234.56', '{"b":1,"a":[2]}', 'item')`

describe('takeFingerprint', () => {
  it('counts exactly, with partitions and odd names, and leaves out what no dump holds', async () => {
    const database = await shared.database()
    const name = 'é'.repeat(31)
    await shared.run(
      `CREATE TABLE part (k int) PARTITION BY RANGE (k); CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9);
       CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (9) TO (99); INSERT INTO part SELECT generate_series(0, 29);
       CREATE SCHEMA "it's"; CREATE TABLE "it's"."a ""quoted"" one" ("a b" int); INSERT INTO "it's"."a ""quoted"" one" VALUES (1);
       CREATE TABLE ${name} (); CREATE TEMPORARY TABLE passing (id int); CREATE VIEW seen AS SELECT 1;
       CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (1)`,
      database,
    )
    const found = await takeFingerprint(await shared.open(shared.connection(database)), 'counts')
    const { tables } = found
    expect(tables.map(({ schema, name: table, rows }) => [schema, table, rows])).toEqual([
      [`it's`, 'a "quoted" one', 1],
      ['public', 'child', 1],
      ['public', 'parent', 0],
      ['public', 'part_1', 9],
      ['public', 'part_2', 21],
      ['public', name, 0],
    ])
    expect(tables.some((table) => 'checksum' in table)).toBe(false)
    // Nobody asked for checksums, so that nothing is to be said of them.
    expect(compareFingerprints(found, found)).toMatchObject({ differences: [], notes: [] })
  })

  it('counts a table with a row that is too long for a text, and goes on with the next', async () => {
    const database = await shared.database()
    // A bit string takes eight times its length as text: 147 MB here would be 1.2 GB.
    const bits = `B'0'::bit(83886080)::bit varying`
    await shared.run(
      `CREATE TABLE long AS SELECT ${Array.from({ length: 14 }, () => bits).join(' || ')} AS bits; INSERT INTO long VALUES (B'1');
       CREATE TABLE next AS SELECT 1 AS id`,
      database,
    )
    const found = await fingerprintOf(database)
    expect(found.tables).toEqual([
      { schema: 'public', name: 'long', rows: 2 },
      { schema: 'public', name: 'next', rows: 1, checksum: expect.anything() },
    ])
    expect(compareFingerprints(found, found)).toMatchObject({
      differences: [],
      notes: [expect.stringMatching(/^The content of table public.long was not compared, only its number/)],
      compared: { tables: 2, rows: 3, checksums: 1 },
    })
  })

  it('records nothing at level off', async () => {
    expect(await takeFingerprint(await shared.open(), 'off')).toBeUndefined()
  })

  it('does not depend on settings of the session, nor on the order of rows or columns', async () => {
    const [first, second] = [await shared.database(), await shared.database()]
    await shared.run(
      `${values}; CREATE TABLE many AS SELECT g AS a, g * 2 AS b FROM generate_series(1, 1000) g`,
      first,
    )
    await shared.run(
      `${values}; CREATE TABLE many AS SELECT g * 2 AS b, g AS a FROM generate_series(1000, 1, -1) g`,
      second,
    )
    const other = `SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = -3; SET bytea_output = 'escape'; SET IntervalStyle = 'iso_8601'; SET search_path = pg_catalog`
    const comparison = compareFingerprints(await fingerprintOf(first), await fingerprintOf(second, other))
    expect(comparison).toMatchObject({
      differences: [],
      notes: [],
      compared: { tables: 2, rows: 1001, checksums: 2 },
    })
  })

  it('leaves the transaction that it was taken in as it was, also after an error', async () => {
    const database = await shared.database()
    await shared.run('CREATE TABLE held (id int)', database)
    const client = await shared.open(shared.connection(database))
    await client.query(
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL DateStyle = 'German'; SET LOCAL lock_timeout = '50ms'`,
    )
    await takeFingerprint(client, 'checksums')
    expect((await client.query('SHOW DateStyle')).rows).toEqual([{ DateStyle: 'German, DMY' }])
    const blocker = await shared.open(shared.connection(database))
    await blocker.query('BEGIN; LOCK TABLE held')
    expect(await rejection(takeFingerprint(client, 'counts'))).toMatchObject({
      code: 'DATABASE_BUSY',
      message: 'The lock on table public.held was not given in time.',
    })
    await blocker.query('ROLLBACK')
    expect(client.getTransactionStatus()).toBe('T')
    expect((await takeFingerprint(client, 'counts')).tables).toHaveLength(1)
    await client.query('COMMIT')
  })

  it('names the table that it may not read', async () => {
    const database = await shared.database()
    await shared.run('CREATE TABLE secret (id int); CREATE ROLE stranger', database)
    const client = await shared.open(shared.connection(database))
    await client.query('SET ROLE stranger')
    expect(await rejection(takeFingerprint(client, 'counts'))).toMatchObject({
      code: 'DATABASE_REFUSED',
      message: expect.stringContaining('may not read table public.secret'),
    })
    expect(client.getTransactionStatus()).toBe('I')
  })

  it('takes a thousand tables and sequences, and few locks', async () => {
    const database = await shared.database()
    await shared.run(
      `DO $$ BEGIN FOR n IN 1 .. 1000 LOOP EXECUTE format('CREATE TABLE t%s (id int GENERATED ALWAYS AS IDENTITY)', n); END LOOP; END $$`,
      database,
    )
    const client = await shared.open(shared.connection(database))
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const { tables, sequences } = await takeFingerprint(client, 'checksums')
    const { rows } = await client.query<{ locks: number }>('SELECT count(*)::int AS locks FROM pg_locks')
    await client.query('ROLLBACK')
    expect(rows[0]?.locks).toBeLessThan(50)
    expect([tables.length, sequences.length]).toEqual([1000, 1000])
  })
})

describe('compareFingerprints', () => {
  const many =
    'CREATE TABLE many AS SELECT g AS id, g % 10 AS value, NULL::text AS t FROM generate_series(1, 100) g'

  it.each([
    [
      'a row that is missing',
      'DELETE FROM many WHERE id = 7',
      'Table public.many has 99 rows in the copy instead of 100.',
    ],
    [
      'a value that changed',
      'UPDATE many SET value = 99 WHERE id = 7',
      'Table public.many has as many rows in the copy (100), but not the same ones.',
    ],
    [
      'values that changed places',
      'UPDATE many SET value = 3 - value WHERE id IN (1, 2)',
      'Table public.many has as many rows in the copy (100), but not the same ones.',
    ],
    [
      'a row that is there twice for another',
      'DELETE FROM many WHERE id = 7; INSERT INTO many VALUES (8, 8)',
      'Table public.many has as many rows in the copy (100), but not the same ones.',
    ],
    [
      'an empty text for null',
      `UPDATE many SET t = '' WHERE id = 7`,
      'Table public.many has as many rows in the copy (100), but not the same ones.',
    ],
    ['a table that is missing', 'DROP TABLE many', 'Table public.many is missing in the copy.'],
    ['a table too many', 'CREATE TABLE extra ()', 'Table public.extra is in the copy only.'],
  ])('notices %s', async (_, change, difference) => {
    expect(await differencesAfter(many, change)).toEqual([difference])
  })

  it('lets rows move between hash partitions, where an enum gets new numbers, but not be lost or changed', async () => {
    const make = `CREATE TYPE tone AS ENUM ('red', 'green', 'blue', 'grey');
      CREATE TABLE paint (id int, tone tone) PARTITION BY LIST (id);
      CREATE TABLE paint_1 PARTITION OF paint DEFAULT PARTITION BY HASH (tone);
      CREATE TABLE paint_1_0 PARTITION OF paint_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0) PARTITION BY RANGE (id);
      CREATE TABLE paint_1_0_a PARTITION OF paint_1_0 DEFAULT;
      CREATE TABLE paint_1_1 PARTITION OF paint_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      INSERT INTO paint SELECT n, (enum_range(NULL::tone))[n % 4 + 1] FROM generate_series(1, 40) AS n`
    const [left, right] = [await shared.database(), await shared.database()]
    await shared.run(make, left)
    // Types that were made before give the enum other numbers, and so its values other parts.
    await shared.run(`CREATE TYPE earlier AS ENUM ('a', 'b', 'c'); DROP TYPE earlier; ${make}`, right)
    const comparison = compareFingerprints(await fingerprintOf(left), await fingerprintOf(right))
    expect(comparison).toMatchObject({ differences: [], compared: { tables: 2, rows: 40, checksums: 2 } })
    expect(await differencesAfter(make, `UPDATE paint SET id = 99 WHERE id = 7`)).toEqual([
      'Table public.paint_1 has as many rows in the copy (40), but not the same ones.',
    ])
    expect(await differencesAfter(make, `DELETE FROM paint WHERE id = 7`)).toEqual([
      'Table public.paint_1 has 39 rows in the copy instead of 40.',
    ])
  })

  it('notices a sequence that is behind, and none that has moved on', async () => {
    const statements = `CREATE SEQUENCE up START 5; SELECT nextval('up'); CREATE SEQUENCE down INCREMENT -1; SELECT nextval('down'), nextval('down')`
    expect(await differencesAfter(statements, `SELECT nextval('up'), nextval('down')`)).toEqual([])
    expect(await differencesAfter(statements, `SELECT setval('up', 5, false)`)).toEqual([
      'Sequence public.up stands at 5 (unused) in the copy, behind 5.',
    ])
    expect(await differencesAfter(statements, `SELECT setval('down', -1)`)).toEqual([
      'Sequence public.down stands at -1 in the copy, behind -2.',
    ])
  })

  it('notices large objects that are missing or changed, of any size', async () => {
    const statements = `SELECT lo_from_bytea(90001, repeat('0123456789', 60000)::bytea); SELECT lo_from_bytea(90002, '')`
    expect(await differencesAfter(statements, '')).toEqual([])
    expect(await differencesAfter(statements, 'SELECT lo_unlink(90002)')).toEqual([
      'Large objects: 1 in the copy instead of 2.',
    ])
    expect(await differencesAfter(statements, `SELECT lo_put(90001, 599999, 'x')`)).toEqual([
      'Large objects: as many in the copy (2), but not with the same content.',
    ])
  })

  it('notices a materialised view that was not filled, and an extension that is missing', async () => {
    const view = 'CREATE MATERIALIZED VIEW total AS SELECT 1 AS one'
    expect(await differencesAfter(view, 'REFRESH MATERIALIZED VIEW total WITH NO DATA')).toEqual([
      'Materialised view public.total is not populated in the copy, unlike in the source.',
    ])
    expect(
      await differencesAfter('CREATE EXTENSION IF NOT EXISTS plpgsql', 'DROP EXTENSION plpgsql'),
    ).toEqual(['Extension plpgsql is missing in the copy.'])
  })

  it('says so when checksums cannot be compared', async () => {
    const database = await shared.database()
    await shared.run(many, database)
    const left = await fingerprintOf(database)
    const right: Fingerprint = {
      ...left,
      probe: '1',
      tables: left.tables.map((table) => ({ ...table, checksum: ['1', '2'] })),
    }
    expect(compareFingerprints(left, right)).toMatchObject({
      compared: { checksums: 0, tables: 1 },
      differences: [],
      notes: ['Checksums were not compared: the two servers hash differently.'],
    })
  })
})

describe('parseFingerprint', () => {
  it('reads what was written', async () => {
    const taken = await fingerprintOf(await shared.database())
    expect(parseFingerprint(JSON.stringify(taken))).toEqual(taken)
  })

  it('refuses a newer format by its number, and what is none', () => {
    expect(() => parseFingerprint('{"format":2}')).toThrow(
      'The fingerprint has format 2, and this version knows format 1.',
    )
    expect(() => parseFingerprint('{"format":1}')).toThrow('cannot be read')
    expect(() => parseFingerprint('half of')).toThrow('cannot be read')
  })
})
