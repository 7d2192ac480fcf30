import { afterAll, beforeAll, describe, expect, jest } from '@jest/globals'
import type { RunReport } from '@securyflex/shared/history'
import type { Storage } from '@securyflex/shared/storage'
import pg from 'pg'
import { cephIsThere } from '../helpers/ceph.ts'
import { type FourKinds, type Kind, kinds, startFourKinds } from '../helpers/four-kinds.ts'
import { backUp, command, restoreLatest } from '../helpers/round-trip.ts'
import { testWhere } from '../helpers/test-where.ts'

jest.setTimeout(300_000)

/** Every object of a destination, as it lies there. */
type Contents = ReadonlyMap<string, Buffer>

async function contentsOf(storage: Storage): Promise<Contents> {
  const contents = new Map<string, Buffer>()
  for await (const { key } of storage.list('')) contents.set(key, (await storage.get(key)) ?? Buffer.alloc(0))
  return contents
}

async function empty(storage: Storage): Promise<void> {
  const keys: string[] = []
  for await (const { key } of storage.list('')) keys.push(key)
  for (const key of keys) await storage.delete(key)
}

async function fill(storage: Storage, contents: Contents): Promise<void> {
  for (const [key, bytes] of contents) await storage.put(key, bytes)
}

/** What every table of the test holds, asked of the database itself. */
const content = `SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM orders t) AS orders,
  (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM notes t) AS notes,
  (SELECT last_value FROM orders_id_seq) AS sequence`

const test = testWhere(
  cephIsThere(),
  'Ceph is missing; as root on Debian `npm run test:full` installs it: radosgw ceph-mon ceph-osd',
)

describe('one run to a directory, to S3, to Azure and to Google', () => {
  let places: FourKinds
  let run: string
  let report: RunReport | undefined

  if (cephIsThere()) {
    beforeAll(async () => {
      places = await startFourKinds({ BACKUP_FINGERPRINT: 'checksums' })
      const { database } = places.installation
      await database.query(
        `CREATE TABLE orders (id serial PRIMARY KEY, note text);
         INSERT INTO orders (note) SELECT md5(n::text) FROM generate_series(1, 20000) AS n;
         CREATE TABLE notes AS SELECT n AS id, (SELECT string_agg(md5(random()::text || n || m), '')
           FROM generate_series(1, 400) AS m) AS text FROM generate_series(1, 1500) AS n`,
      )
      run = await backUp(places.installation)
      report = await places.installation.report(run)
    })
    afterAll(async () => {
      await places[Symbol.asyncDispose]()
    })
  }

  /** Restores as people do, and compares with the source, by the product's word and by the databases' own. */
  async function restored(name: string, ...more: readonly string[]): Promise<void> {
    const { database } = places.installation
    const to = `${database.name}_${name}`
    try {
      const { comparison } = await restoreLatest(places.installation, to, ...more)
      expect(comparison).toMatchObject({
        differences: [],
        compared: { tables: 2, checksums: 2, rows: 21500 },
      })
      expect(await contentOf(to)).toEqual(await contentOf(database.name))
    } finally {
      await database.query(`DROP DATABASE IF EXISTS "${to}" WITH (FORCE)`)
    }
  }

  async function contentOf(name: string): Promise<unknown> {
    const url = new URL(places.installation.database.url)
    url.pathname = `/${name}`
    const client = new pg.Client({ connectionString: url.href })
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(content)).rows[0]
    } finally {
      await client.end()
    }
  }

  test('is sealed and verified at all four', () => {
    expect(report?.outcome).toBe('success')
    expect(report?.destinations.map(({ name, outcome }) => ({ name, outcome }))).toEqual(
      kinds.map((name) => ({ name, outcome: 'verified' })),
    )
    const stored = report?.destinations.map(({ stored }) => stored?.bytes)
    expect(new Set(stored).size).toBe(1)
    expect(stored?.[0]).toBeGreaterThan(10_000_000)
  })

  for (const kind of kinds) {
    test(`restores from ${kind} alone, while nothing is left at the three others`, async () => {
      const others = kinds.filter((other) => other !== kind)
      const saved = new Map<Kind, Contents>()
      for (const other of others) {
        const storage = await places.storage(other)
        const contents = await contentsOf(storage)
        expect(contents.has(`shop/backups/${run}.json`)).toBe(true)
        saved.set(other, contents)
        await empty(storage)
      }
      try {
        for (const other of others) expect((await contentsOf(await places.storage(other))).size).toBe(0)
        await restored(kind)
        const listed = await command(places.installation, 'list', '--json')
        expect(JSON.parse(listed.stdout)).toMatchObject({ backups: [{ run, destination: kind }] })
      } finally {
        for (const [other, contents] of saved) await fill(await places.storage(other), contents)
      }
    })
  }

  for (const kind of kinds) {
    test(`lists, verifies and restores with --destination ${kind} what is there, and there alone`, async () => {
      const at = ['--destination', kind]
      const listed = await command(places.installation, 'list', ...at, '--json')
      const { backups } = JSON.parse(listed.stdout) as { backups: { run: string; destination: string }[] }
      expect(backups).toMatchObject([{ run, destination: kind, state: 'readable' }])
      const verified = await command(places.installation, 'verify', 'latest', '--full', ...at, '--json')
      const { results } = JSON.parse(verified.stdout) as { results: object[] }
      expect(results).toMatchObject([{ run, destination: kind, authenticated: true, problem: null }])
      // Whatever else could serve: one that is asked for alone is alone asked.
      const storage = await places.storage(kind)
      const manifest = `shop/backups/${run}.json`
      const bytes = (await storage.get(manifest)) ?? Buffer.alloc(0)
      await storage.delete(manifest)
      const refused = restoreLatest(places.installation, 'nowhere', ...at)
      await expect(refused).rejects.toMatchObject({ code: 3 })
      await storage.put(manifest, bytes)
      await restored(`named_${kind}`, ...at)
    })
  }

  test('refuses a destination that does not exist, with those that do', async () => {
    for (const line of [['list'], ['verify', 'latest'], ['export', 'latest'], ['restore', 'latest']]) {
      const refused = command(places.installation, ...line, '--destination', 'mars')
      await expect(refused).rejects.toMatchObject({
        code: 2,
        stderr: expect.stringMatching(
          /There is no destination “mars”\.\n.*Write one of: local, s3, azure, gcs\./s,
        ) as unknown,
      })
    }
  })

  test('fills by `copy` the three that lost everything, from the one that is left', async () => {
    for (const kind of ['local', 's3', 'azure'] as const) {
      await empty(await places.storage(kind))
      await command(places.installation, 'copy', 'latest', '--from', 'gcs', '--to', kind)
    }
    await empty(await places.storage('gcs'))
    const verified = await command(places.installation, 'verify', 'latest', '--full', '--json')
    const { results } = JSON.parse(verified.stdout) as { results: object[] }
    expect(results).toMatchObject(
      ['local', 's3', 'azure'].map((destination) => ({ destination, problem: null })),
    )
    await restored('copied', '--destination', 'azure')
  })

  test('restores with --destination while no other store can be reached', async () => {
    await places.endAllBut('azure')
    await restored('unreached', '--destination', 'azure')
    await expect(restored('unreached', '--destination', 's3')).rejects.toMatchObject({ code: 6 })
    await places.endAllBut('local')
    await restored('local_alone', '--destination', 'local')
  })
})
