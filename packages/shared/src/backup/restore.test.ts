import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseConnection } from '@securyflex/shared/config'
import { BackupError, Secret } from '@securyflex/shared/errors'
import { generateKey, KeyRing } from '@securyflex/shared/keys'
import { openStorageForReading, type Storage } from '@securyflex/shared/storage'
import { makeBackup } from '../../../../test/helpers/make-backup.ts'
import { createDatabase, type TestDatabase } from '../../../../test/helpers/postgres.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { findBackup, restore, type RestoreRequest } from './index.ts'

const key = generateKey()
let directory: TemporaryDirectory
let source: TestDatabase
let run: string
let created = 0

beforeAll(async () => {
  directory = await temporaryDirectory()
  source = await createDatabase()
  await source.query(`CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL)`)
  // Random text does not compress: some segments of several MiB, so that there is something to damage.
  await source.query(
    `INSERT INTO customer (name) SELECT repeat(md5(random()::text), 30) || n FROM generate_series(1, 12000) n`,
  )
  run = await makeBackup({ url: source.url, repository: directory.join('original'), key })
})

afterAll(async () => {
  await source.drop()
  await directory.remove()
})

/** A copy of the repository to be damaged. */
async function copy(): Promise<string> {
  const path = directory.join(`copy${String(++created)}`)
  await cp(directory.join('original'), path, { recursive: true })
  return path
}

/** The segment files of a repository, largest first. */
async function segmentFiles(repository: string): Promise<string[]> {
  const root = join(repository, 'shop', 'segments')
  const names = (await readdir(root, { recursive: true })).filter((name) => name.includes('/'))
  const files = await Promise.all(
    names.map(async (name) => ({ path: join(root, name), size: (await readFile(join(root, name))).length })),
  )
  return files.sort((a, b) => b.size - a.size).map(({ path }) => path)
}

async function restoreFrom(
  repository: string,
  overrides: Partial<RestoreRequest> & { keyText?: string } = {},
) {
  const keys = new KeyRing({ current: new Secret(overrides.keyText ?? key), previous: [] })
  const storage = openStorageForReading({ kind: 'local', name: 'local', directory: repository })
  const name = overrides.name ?? `restored_${String(++created)}_${source.name}`
  const backup =
    overrides.backup ?? (await findBackup({ what: run, source: 'shop', storages: [storage], keys }))
  const restored = await restore({
    backup,
    target: parseConnection(source.url, {}).connection,
    name,
    owners: true,
    keepDifferent: false,
    pgBinDirectory: undefined,
    signal: new AbortController().signal,
    ...overrides,
  })
  return { ...restored, name }
}

/** A store that says nothing more once it is asked for a segment; a driver is through with that when its signal aborts. */
function silent(storage: Storage, asked: () => void, signal?: AbortSignal): Storage {
  const get = () => {
    setImmediate(asked)
    return new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => {
        reject(signal.reason as Error)
      })
    })
  }
  const until = (other: AbortSignal) => silent(storage.until(other), asked, other)
  return new Proxy(storage, {
    get(target, name) {
      if (name === 'get') return get
      if (name === 'until') return until
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value as (...all: unknown[]) => unknown).bind(target) : value
    },
  })
}

/** Of this file: the server is shared with others that run at the same time. */
async function databases(): Promise<string[]> {
  const mine = `SELECT datname AS name FROM pg_database WHERE datname LIKE '%${source.name}%' ORDER BY 1`
  const { rows } = await source.query(mine)
  return rows.map(({ name }) => String(name))
}

/** Expects the restore to be refused, and the server to be as before. */
async function expectRefused(attempt: Promise<unknown>, code: string, says: RegExp): Promise<void> {
  const before = await databases()
  await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
  expect(await databases()).toEqual(before)
}

describe('a restore', () => {
  it('brings back what was backed up, and tells what it compared', async () => {
    const { name, comparison, tool } = await restoreFrom(directory.join('original'))
    try {
      expect(comparison?.differences).toEqual([])
      expect(comparison?.compared).toMatchObject({ tables: 1, rows: 12_000, checksums: 1, sequences: 1 })
      expect(tool).toMatch(/^\d+\.\d+/)
    } finally {
      await source.query(`DROP DATABASE ${name}`)
    }
  })

  it('of several jobs brings the same, and leaves no plain file behind', async () => {
    const parallel = { jobs: 2, directory: directory.join('restores') }
    const { name, comparison } = await restoreFrom(directory.join('original'), { parallel })
    await source.query(`DROP DATABASE ${name}`)
    expect(comparison).toMatchObject({ differences: [], compared: { rows: 12_000 } })
    expect(await readdir(parallel.directory)).toEqual([])
  })

  it('ends when it is cancelled, though the destination never answers', async () => {
    const keys = new KeyRing({ current: new Secret(key), previous: [] })
    const original = { kind: 'local', name: 'local', directory: directory.join('original') } as const
    const storage = openStorageForReading(original)
    const backup = await findBackup({ what: run, source: 'shop', storages: [storage], keys })
    const controller = new AbortController()
    const reason = new BackupError('CANCELLED', 'The restore was cancelled.')
    const attempt = restoreFrom(original.directory, {
      backup: { ...backup, storage: silent(storage, () => controller.abort(reason)) },
      signal: controller.signal,
    })
    await expectRefused(attempt, 'CANCELLED', /was cancelled/)
  })

  it('refuses a name that is taken, before it reads anything', async () => {
    const attempt = restoreFrom(directory.join('original'), { name: source.name })
    await expectRefused(attempt, 'DATABASE_EXISTS', /exists already/)
  })

  it('leaves nothing when it is cancelled half-way', async () => {
    const controller = new AbortController()
    const attempt = restoreFrom(directory.join('original'), {
      signal: controller.signal,
      onBytes: () => {
        controller.abort()
      },
    })
    await expectRefused(attempt, 'CANCELLED', /./)
  })

  it('names the roles that the server lacks before it begins, and can do without them', async () => {
    const role = `gone_${source.name}`
    await source.query(`CREATE ROLE ${role}`)
    await source.query(`GRANT SELECT ON customer TO ${role}`)
    const granted = await makeBackup({ url: source.url, repository: directory.join('granted'), key })
    await source.query(`DROP OWNED BY ${role}`)
    await source.query(`DROP ROLE ${role}`)
    const storage = openStorageForReading({
      kind: 'local',
      name: 'local',
      directory: directory.join('granted'),
    })
    const keys = new KeyRing({ current: new Secret(key), previous: [] })
    const backup = await findBackup({ what: 'latest', source: 'shop', storages: [storage], keys })
    expect(backup.opened.manifest.run).toBe(granted)
    const lacks = new RegExp(`lacks the role "${role}"`)
    await expectRefused(restoreFrom('', { backup }), 'RESTORE_FAILED', lacks)
    const { name } = await restoreFrom(directory.join('original'), { backup, owners: false })
    await source.query(`DROP DATABASE ${name}`)
  })
})

describe('a damaged repository', () => {
  it('names a segment in which one byte was flipped', async () => {
    const repository = await copy()
    const [file = ''] = await segmentFiles(repository)
    const bytes = await readFile(file)
    bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 1
    await writeFile(file, bytes)
    await expectRefused(restoreFrom(repository), 'SEGMENT_TAMPERED', /was altered/)
  })

  it('names a segment that is cut off', async () => {
    const repository = await copy()
    const [file = ''] = await segmentFiles(repository)
    await truncate(file, 100_000)
    await expectRefused(restoreFrom(repository), 'SEGMENT_TRUNCATED', /is cut off: 100000 of \d+ bytes/)
  })

  it('names a segment that is missing', async () => {
    const repository = await copy()
    const [file = ''] = await segmentFiles(repository)
    await rm(file)
    await expectRefused(restoreFrom(repository), 'SEGMENT_MISSING', /is missing/)
  })

  it('names a segment that was swapped with another', async () => {
    const repository = await copy()
    const [one = '', other = ''] = await segmentFiles(repository)
    await writeFile(one, await readFile(other))
    await expectRefused(
      restoreFrom(repository),
      'SEGMENT_TAMPERED',
      /was swapped: the bytes of [0-9a-f]{64} lie/,
    )
  })

  it('names a segment that belongs to another repository', async () => {
    const repository = await copy()
    await makeBackup({ url: source.url, repository: directory.join('foreign'), key: generateKey() })
    const [foreign = ''] = await segmentFiles(directory.join('foreign'))
    const [file = ''] = await segmentFiles(repository)
    await writeFile(file, await readFile(foreign))
    await expectRefused(restoreFrom(repository), 'SEGMENT_FOREIGN', /another key/)
  })

  it('names a manifest that was altered', async () => {
    const repository = await copy()
    const file = join(repository, 'shop', 'backups', `${run}.json`)
    await writeFile(file, (await readFile(file, 'utf8')).replace('"product":"test"', '"product":"tset"'))
    await expectRefused(restoreFrom(repository), 'MANIFEST_DAMAGED', /authentication code does not match/)
  })

  it('names a wrong key', async () => {
    await expectRefused(
      restoreFrom(directory.join('original'), { keyText: generateKey() }),
      'KEY_WRONG',
      /None of the configured keys/,
    )
  })
})
