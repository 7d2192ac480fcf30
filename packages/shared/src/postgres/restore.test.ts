import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { BackupError, Secret } from '@securyflex/shared/errors'
import { createDatabase, dropAfter, dropDatabase } from './database.ts'
import { dumpArchive } from './dump.ts'
import { compareFingerprints } from './fingerprint/compare.ts'
import { takeFingerprint } from './fingerprint/take.ts'
import { restoreArchive, restoreIntoNewDatabase } from './restore.ts'
import { holdSnapshot } from './snapshot.ts'
import { findTools, type Tools } from './tools.ts'
import { rejection, testServer, until } from './test-server.ts'

const shared = testServer({ beforeAll, afterAll })
let tools: Tools
let source = ''
let archive: Buffer

const content = `
  CREATE TABLE "odd ""name""" ("a b" int PRIMARY KEY, doomed int, data bytea, twice int GENERATED ALWAYS AS ("a b" * 2) STORED);
  INSERT INTO "odd ""name""" ("a b", data) SELECT g, decode(md5(g::text), 'hex') FROM generate_series(1, 20000) g;
  ALTER TABLE "odd ""name""" DROP doomed;
  CREATE TABLE part (k int, v text) PARTITION BY RANGE (k);
  CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
  CREATE TABLE part_2 (v text, k int); ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20);
  INSERT INTO part SELECT g, repeat('é', g) FROM generate_series(0, 19) g;
  CREATE TABLE child (b int, a text); INSERT INTO child VALUES (1, 'x'); CREATE TABLE parent (a text, b int); ALTER TABLE child INHERIT parent;
  CREATE SEQUENCE counter START 5; SELECT nextval('counter');
  CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM part; CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
  SELECT lo_from_bytea(0, repeat('large', 100000)::bytea)`

beforeAll(async () => {
  tools = await findTools(shared.server.major)
  source = await shared.database()
  await shared.run(content, source)
  const snapshot = await holdSnapshot(await shared.open(shared.connection(source)), 'source')
  archive = await buffer(dumpArchive(tools, shared.connection(source), snapshot.id).stdout)
  await snapshot.release()
})

async function* inPieces(bytes: Buffer, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) {
    yield await Promise.resolve(bytes.subarray(start, start + size))
  }
}

async function exists(database: string): Promise<boolean> {
  const client = await shared.open()
  return (await client.query('SELECT FROM pg_database WHERE datname = $1', [database])).rowCount === 1
}

async function expectSameAsSource(database: string): Promise<void> {
  const left = await takeFingerprint(await shared.open(shared.connection(source)), 'checksums')
  const right = await takeFingerprint(await shared.open(shared.connection(database)), 'checksums')
  expect(compareFingerprints(left, right)).toMatchObject({
    differences: [],
    notes: [],
    compared: { tables: 5, rows: 20_021, checksums: 5, sequences: 1, materializedViews: 2, largeObjects: 1 },
  })
}

describe('restoreIntoNewDatabase', () => {
  it('gives back what was dumped, into a database of any name', async () => {
    for (const name of ['restored', `a=b '\\ "x" é`]) {
      await restoreIntoNewDatabase(
        tools,
        shared.connection(),
        name,
        { encoding: 'UTF8', collate: 'C', characterType: 'C', localeProvider: 'libc' },
        inPieces(archive),
      )
      await expectSameAsSource(name)
    }
  })

  it('leaves nothing when the source fails, and throws its error', async () => {
    const tampered = new BackupError('SEGMENT_TAMPERED', 'Segment 7 was tampered with.')
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* inPieces(archive.subarray(0, 300_000))
      throw tampered
    }
    const error = await rejection(restoreIntoNewDatabase(tools, shared.connection(), 'half', {}, failing()))
    expect(error).toBe(tampered)
    expect(await exists('half')).toBe(false)
  })

  it('reads its source to the end where the archive ends before, and hears what that says', async () => {
    // More than the pipe and its buffers hold: pg_restore leaves without it.
    const padding = Buffer.alloc(1_000_000)
    let read = 0
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const piece of inPieces(Buffer.concat([archive, padding]))) {
        read += piece.length
        yield piece
      }
    }
    await restoreIntoNewDatabase(tools, shared.connection(), 'padded', {}, counted())
    expect(read).toBe(archive.length + padding.length)
    await expectSameAsSource('padded')

    const tampered = new BackupError('SEGMENT_TAMPERED', 'Segment 7 was tampered with.')
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* counted()
      throw tampered
    }
    expect(await rejection(restoreIntoNewDatabase(tools, shared.connection(), 'late', {}, failing()))).toBe(
      tampered,
    )
    expect(await exists('late')).toBe(false)
  })

  it('leaves nothing of a truncated archive, wherever it was cut', async () => {
    for (const share of [0, 0.001, 0.4, 0.999]) {
      const cut = archive.subarray(0, Math.floor(archive.length * share))
      const error = await rejection(
        restoreIntoNewDatabase(tools, shared.connection(), 'cut', {}, inPieces(cut)),
      )
      expect(error).toMatchObject({ code: 'STREAM_DAMAGED', class: 'permanent' })
      expect(await exists('cut')).toBe(false)
    }
  })

  it('says what is no archive', async () => {
    const error = await rejection(
      restoreIntoNewDatabase(tools, shared.connection(), 'no', {}, inPieces(Buffer.alloc(5_000_000, 'x'))),
    )
    expect(error).toMatchObject({ code: 'STREAM_DAMAGED' })
    expect(await exists('no')).toBe(false)
  })

  it('stops when it is cancelled, though its source never says another word, and leaves nothing', async () => {
    const controller = new AbortController()
    let silent = false
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield* inPieces(archive.subarray(0, 30_000))
      silent = true
      await new Promise(() => undefined)
    }
    const restoring = rejection(
      restoreIntoNewDatabase(tools, shared.connection(), 'cancelled', {}, endless(), controller.signal),
    )
    const watcher = await shared.open()
    await until(
      async () =>
        silent &&
        (await watcher.query(`SELECT FROM pg_stat_activity WHERE datname = 'cancelled'`)).rowCount === 1,
    )
    const reason = new BackupError('CANCELLED', 'The restore was cancelled.')
    controller.abort(reason)
    expect(await restoring).toBe(reason)
    expect(await exists('cancelled')).toBe(false)
  })

  it('stops also when pg_restore has ended, and its source never says whether that was all', async () => {
    const controller = new AbortController()
    let silent = false
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield* inPieces(archive)
      silent = true
      await new Promise(() => undefined)
    }
    const restoring = rejection(
      restoreIntoNewDatabase(tools, shared.connection(), 'cancelled_late', {}, endless(), controller.signal),
    )
    const watcher = await shared.open()
    let seen = false
    await until(async () => {
      const { rowCount } = await watcher.query(
        `SELECT FROM pg_stat_activity WHERE datname = 'cancelled_late' AND backend_type = 'client backend'`,
      )
      seen ||= rowCount === 1
      return seen && silent && rowCount === 0
    })
    const reason = new BackupError('CANCELLED', 'The restore was cancelled.')
    controller.abort(reason)
    expect(await restoring).toBe(reason)
    expect(await exists('cancelled_late')).toBe(false)
  })

  it('stops at the first error of the server, and names what is missing', async () => {
    await shared.run('CREATE ROLE owner_who_goes')
    const database = await shared.database()
    await shared.run('CREATE TABLE item (id int); ALTER TABLE item OWNER TO owner_who_goes', database)
    const snapshot = await holdSnapshot(await shared.open(shared.connection(database)), 'x')
    const orphaned = await buffer(dumpArchive(tools, shared.connection(database), snapshot.id).stdout)
    await snapshot.release()
    await shared.run('DROP TABLE item', database)
    await shared.run('DROP ROLE owner_who_goes')
    const error = await rejection(
      restoreIntoNewDatabase(tools, shared.connection(), 'orphaned', {}, inPieces(orphaned)),
    )
    expect(error).toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringContaining('needs the role "owner_who_goes"'),
    })
    expect(await exists('orphaned')).toBe(false)
    await restoreIntoNewDatabase(tools, shared.connection(), 'orphaned', {}, inPieces(orphaned), undefined, {
      owners: false,
    })
  })

  it('refuses a database that exists, and leaves it alone', async () => {
    const database = await shared.database()
    await shared.run('CREATE TABLE precious (id int)', database)
    expect(
      await rejection(restoreIntoNewDatabase(tools, shared.connection(), database, {}, inPieces(archive))),
    ).toMatchObject({
      code: 'DATABASE_EXISTS',
      message: `The database "${database}" exists already.`,
    })
    await shared.run('SELECT FROM precious', database)
  })
})

describe('restoreArchive through a script (tools that are too new for the server)', () => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'newer-'))
    // A fake in one respect: it adds the line with which pg_restore 17 begins.
    const path = join(directory, 'pg_restore')
    await writeFile(
      path,
      `#!/bin/bash\nset -o pipefail\n"${tools.pg_restore}" "$@" | sed '0,/^SET /s//SET transaction_timeout = 0;\\nSET /'\n`,
    )
    await chmod(path, 0o755)
  })
  afterAll(() => rm(directory, { recursive: true }))

  const newer = (): Tools => ({ ...tools, major: 18, pg_restore: join(directory, 'pg_restore') })

  it('gives back what was dumped', async () => {
    await restoreIntoNewDatabase(newer(), shared.connection(), 'by_script', {}, inPieces(archive))
    await expectSameAsSource('by_script')
  })

  it('fails like a direct restore', async () => {
    const tampered = new BackupError('SEGMENT_TAMPERED', 'Segment 7 was tampered with.')
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* inPieces(archive.subarray(0, 300_000))
      throw tampered
    }
    expect(
      await rejection(restoreIntoNewDatabase(newer(), shared.connection(), 'script', {}, failing())),
    ).toBe(tampered)
    const cut = archive.subarray(0, archive.length >> 1)
    expect(
      await rejection(restoreIntoNewDatabase(newer(), shared.connection(), 'script', {}, inPieces(cut))),
    ).toMatchObject({ code: 'STREAM_DAMAGED' })
    await createDatabase(shared.connection(), 'script')
    await shared.run('CREATE TABLE part (other int)', 'script')
    expect(
      await rejection(restoreArchive(newer(), shared.connection(), 'script', inPieces(archive))),
    ).toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringContaining('relation "part" already exists'),
    })
  })
})

describe('createDatabase', () => {
  it('takes over encoding and locale', async () => {
    const shape = {
      encoding: 'LATIN1',
      collate: 'C',
      characterType: 'C',
      localeProvider: 'libc',
      locale: null,
      icuRules: null,
    } as const
    await createDatabase(shared.connection(), 'latin', shape)
    const client = await shared.open(shared.connection('latin'))
    expect((await takeFingerprint(client, 'counts')).database).toMatchObject({ name: 'latin', ...shape })
  })

  it('refuses a name that the server would cut, and a locale that it lacks', async () => {
    expect(await rejection(createDatabase(shared.connection(), 'é'.repeat(32)))).toMatchObject({
      code: 'USAGE',
    })
    expect(
      await rejection(
        createDatabase(shared.connection(), 'klingon', { collate: 'tlh_QO', characterType: 'tlh_QO' }),
      ),
    ).toMatchObject({
      code: 'DATABASE_REFUSED',
      message: expect.stringContaining('locale'),
    })
  })

  it('says which right the role lacks', async () => {
    await shared.run(`CREATE ROLE modest LOGIN PASSWORD 'open-sesame'`)
    const connection = { ...shared.connection(), user: 'modest', password: new Secret('open-sesame') }
    expect(await rejection(createDatabase(connection, 'never'))).toMatchObject({
      code: 'DATABASE_REFUSED',
      hint: 'Type as a superuser: ALTER ROLE "modest" CREATEDB;',
    })
  })
})

describe('dropDatabase', () => {
  it('drops one that is in use, and is content when there is none', async () => {
    const database = await shared.database()
    const client = await shared.open(shared.connection(database))
    const ended = new Promise<void>((resolve) => client.once('end', resolve))
    await dropDatabase(shared.connection(), database)
    await ended
    expect(await exists(database)).toBe(false)
    await dropDatabase(shared.connection(), database)
  })

  it('drops one with subscriptions, and leaves the slots of the publisher alone', async () => {
    const database = await shared.database()
    // No publisher is there: had the slot been asked for, this would fail.
    await shared.run(
      `CREATE SUBSCRIPTION "far ""away""" CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION one
         WITH (connect = false, slot_name = 'of_the_source')`,
      database,
    )
    await dropDatabase(shared.connection(), database)
    expect(await exists(database)).toBe(false)
  })

  it('tells of both errors when what failed cannot be taken back', async () => {
    const database = await shared.database()
    const failure = new BackupError('COMPARISON_FAILED', 'It is not the same.')
    await shared.run(`CREATE ROLE powerless LOGIN PASSWORD 'open-sesame'`)
    const powerless = { ...shared.connection(), user: 'powerless', password: new Secret('open-sesame') }
    expect(await rejection(dropAfter(failure, powerless, database))).toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringMatching(/It is not the same.*must be owner of database/),
    })
    expect(await rejection(dropAfter(failure, shared.connection(), database))).toBe(failure)
    expect(await exists(database)).toBe(false)
  })
})
