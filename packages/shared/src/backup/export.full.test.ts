import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { parseConnection } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { generateKey, KeyRing } from '@securyflex/shared/keys'
import { findTools, libpqEnvironment } from '@securyflex/shared/postgres'
import { openStorageForReading } from '@securyflex/shared/storage'
import { makeBackup } from '../../../../test/helpers/make-backup.ts'
import { createDatabase, type TestDatabase } from '../../../../test/helpers/postgres.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { exportBackup, type ExportRequest, findBackup, opensslLine } from './index.ts'

const key = generateKey()
const word = 'a passphrase for openssl'
let directory: TemporaryDirectory
let source: TestDatabase
let run: string

beforeAll(async () => {
  directory = await temporaryDirectory()
  source = await createDatabase()
  await source.query('CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL)')
  await source.query(
    `INSERT INTO customer (name) SELECT repeat(md5(random()::text), 30) || E'\\\\\\n' FROM generate_series(1, 8000)`,
  )
  await source.query(`SELECT lo_from_bytea(4711, 'large')`)
  run = await makeBackup({ url: source.url, repository: directory.join('repository'), key })
})

afterAll(async () => {
  await source.drop()
  await directory.remove()
})

async function write(name: string, overrides: Partial<ExportRequest> = {}) {
  const storage = openStorageForReading({
    kind: 'local',
    name: 'local',
    directory: directory.join('repository'),
  })
  const keys = new KeyRing({ current: new Secret(key), previous: [] })
  return await exportBackup({
    backup: await findBackup({ what: run, source: 'shop', storages: [storage], keys }),
    format: 'custom',
    path: directory.join(name),
    passphrase: undefined,
    force: false,
    pgBinDirectory: undefined,
    signal: new AbortController().signal,
    ...overrides,
  })
}

/** Runs programs that are not this product's, in the directory. */
async function shell(line: string): Promise<string> {
  const env = libpqEnvironment(parseConnection(source.url, {}).connection)
  const path = `${(await findTools(15)).directory}:${String(env['PATH'])}`
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', line], {
    cwd: directory.path,
    env: { ...env, PATH: path, WORD: word },
    maxBuffer: 2 ** 26,
  })
  return stdout
}

const content = `psql -XAtqc "SELECT count(*), md5(string_agg(id || name, '' ORDER BY id)), (SELECT convert_from(lo_get(4711), 'UTF8')) FROM customer" -d`

describe('an exported backup', () => {
  it.each([
    ['custom', false, 'pg_restore --exit-on-error -d NEW file'],
    ['custom', false, 'pg_restore --exit-on-error -j 2 -d NEW file'],
    ['custom', true, 'pg_restore --exit-on-error -d NEW plain'],
    ['sql', false, 'psql -X -q -v ON_ERROR_STOP=1 -1 -d NEW -f file'],
    ['sql', true, 'psql -X -q -v ON_ERROR_STOP=1 -1 -d NEW -f plain'],
    ['sql.gz', false, 'gunzip -c < file | psql -X -q -v ON_ERROR_STOP=1 -1 -d NEW'],
    ['sql.gz', true, 'gunzip -c < plain | psql -X -q -v ON_ERROR_STOP=1 -1 -d NEW'],
  ] as const)('as %s (openssl: %s) is read by: %s', async (format, encrypted, line) => {
    const passphrase = encrypted ? new Secret(word) : undefined
    const exported = await write('file', { format, passphrase, force: true })
    const bytes = await readFile(directory.join('file'))
    expect(exported).toEqual({
      path: directory.join('file'),
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    })
    expect((await stat(directory.join('file'))).mode & 0o777).toBe(0o600)
    const database = `exported_${source.name}`
    try {
      await shell(`createdb -T template0 ${database}`)
      if (encrypted) await shell(opensslLine('file', 'plain', 'WORD'))
      await shell(line.replace('NEW', database))
      expect(await shell(`${content} ${database}`)).toBe(await shell(`${content} ${source.name}`))
    } finally {
      await shell(`dropdb --if-exists ${database}`)
    }
  })

  it('is not what a wrong passphrase opens', async () => {
    await write('wrong', { format: 'sql.gz', passphrase: new Secret('another passphrase') })
    await expect(shell(`${opensslLine('wrong', 'out', 'WORD')} && gunzip -c < out`)).rejects.toThrow()
  })
})

describe('an export', () => {
  it('replaces no file unless it is told to', async () => {
    await writeFile(directory.join('taken'), 'mine')
    await expect(write('taken')).rejects.toMatchObject({
      code: 'USAGE',
      hint: expect.stringMatching(/--force/),
    })
    expect(await readFile(directory.join('taken'), 'utf8')).toBe('mine')
    await write('taken', { force: true })
    expect((await readFile(directory.join('taken'))).subarray(0, 5).toString()).toBe('PGDMP')
  })

  it.each(['custom', 'sql', 'sql.gz'] as const)(
    'of a damaged backup leaves nothing, as %s',
    async (format) => {
      const segments = await largestSegment()
      const good = await readFile(segments)
      const bad = Buffer.from(good)
      bad[bad.length >> 1] = (bad[bad.length >> 1] ?? 0) ^ 1
      await writeFile(segments, bad)
      try {
        const before = await readdir(directory.path)
        await expect(write('damaged', { format })).rejects.toMatchObject({ code: 'SEGMENT_TAMPERED' })
        expect(await readdir(directory.path)).toEqual(before)
      } finally {
        await writeFile(segments, good)
      }
    },
  )

  it.each(['custom', 'sql', 'sql.gz'] as const)('that is cancelled leaves nothing, as %s', async (format) => {
    const controller = new AbortController()
    const before = await readdir(directory.path)
    const onBytes = () => {
      controller.abort()
    }
    const attempt = write('cancelled', { format, signal: controller.signal, onBytes })
    await expect(attempt).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await readdir(directory.path)).toEqual(before)
  })

  it('removes what an export to the same file left when it was killed, once it is a day old', async () => {
    const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000)
    const left = ['same.dump.tmp-0123456789ab', 'other.dump.tmp-0123456789ab']
    for (const name of left) {
      await writeFile(directory.join(name), 'half')
      await utimes(directory.join(name), yesterday, yesterday)
    }
    await write('same.dump')
    expect((await readdir(directory.path)).filter((name) => name.includes('.tmp-'))).toEqual([left[1]])
    await rm(directory.join('other.dump.tmp-0123456789ab'))
  })

  it('names a directory that does not exist', async () => {
    await expect(write('nowhere/file')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await rm(directory.join('nowhere'), { recursive: true, force: true })
  })
})

async function largestSegment(): Promise<string> {
  const root = directory.join('repository', 'shop', 'segments')
  const names = (await readdir(root, { recursive: true })).filter((name) => name.includes('/'))
  const sizes = await Promise.all(names.map(async (name) => (await stat(`${root}/${name}`)).size))
  return `${root}/${names[sizes.indexOf(Math.max(...sizes))] ?? ''}`
}
