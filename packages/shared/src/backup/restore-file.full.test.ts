import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { execFile } from 'node:child_process'
import { appendFile, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { parseConnection } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { findTools, libpqEnvironment, type Tools } from '@securyflex/shared/postgres'
import { createDatabase, type TestDatabase } from '../../../../test/helpers/postgres.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { openDumpFile, type Passphrases, restoreFile, type RestoreFileRequest } from './index.ts'

const sh = promisify(execFile)
const word = 'old script word'
let directory: TemporaryDirectory
let source: TestDatabase
let tools: Tools
let created = 0

beforeAll(async () => {
  directory = await temporaryDirectory()
  source = await createDatabase()
  tools = await findTools(15)
  await source.query('CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL)')
  await source.query(`INSERT INTO customer (name) SELECT md5(n::text) FROM generate_series(1, 20000) n`)
  await source.query(`INSERT INTO customer (name) VALUES (E'a\\\\! touch x\\n\\\\.\\nb')`)
})

afterAll(async () => {
  await source.drop()
  await directory.remove()
})

/** Runs a line of shell in the directory, with the database as libpq's default. */
async function shell(line: string): Promise<void> {
  const env = libpqEnvironment(parseConnection(source.url, {}).connection)
  const path = `${tools.directory}:${String(env['PATH'])}`
  await sh('bash', ['-euo', 'pipefail', '-c', line], {
    cwd: directory.path,
    env: { ...env, PATH: path, WORD: word },
  })
}

const opening: Passphrases = { passphrases: [new Secret('another'), new Secret(word)], derivation: undefined }

async function restoreNamed(
  name: string,
  overrides: Partial<RestoreFileRequest> & { opening?: Passphrases } = {},
) {
  const file = await openDumpFile(directory.join(name), overrides.opening ?? opening)
  const database = `file_${String((created += 1))}_${source.name}`
  const restored = await restoreFile({
    file,
    target: parseConnection(source.url, {}).connection,
    name: database,
    owners: true,
    jobs: 1,
    allowCommands: false,
    pgBinDirectory: undefined,
    signal: new AbortController().signal,
    ...overrides,
  })
  return { file, restored }
}

/** Of this file: the server is shared with others that run at the same time. */
async function databases(): Promise<unknown[]> {
  const mine = `SELECT datname FROM pg_database WHERE datname LIKE '%${source.name}%' ORDER BY 1`
  return (await source.query(mine)).rows
}

async function expectRefused(attempt: () => Promise<unknown>, code: string, says: RegExp): Promise<void> {
  const before = await databases()
  await expect(attempt()).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
  expect(await databases()).toEqual(before)
}

const enc = 'openssl enc -aes-256-cbc -pass env:WORD'

describe('a dump', () => {
  it.each([
    ['a.sql', 'pg_dump > a.sql', 'sql', []],
    ['b.sql.gz', 'pg_dump | gzip > b.sql.gz', 'sql', ['gzip']],
    ['c.sql.zst', 'pg_dump | zstd -q -T2 > c.sql.zst', 'sql', ['zstd']],
    ['d', 'pg_dump -Fc > d', 'custom', []],
    ['e.gz', 'pg_dump -Fc -Z0 | gzip > e.gz', 'custom', ['gzip']],
    ['f', 'pg_dump -Ft > f', 'tar', []],
    ['g.gz', 'pg_dump -Ft | gzip > g.gz', 'tar', ['gzip']],
    ['h', 'pg_dump -Fd -f h', 'directory', []],
    ['i.sql.gz.enc', `pg_dump | gzip | ${enc} -pbkdf2 > i.sql.gz.enc`, 'sql', ['openssl', 'gzip']],
    ['j.enc', `pg_dump | gzip | ${enc} > j.enc 2>/dev/null`, 'sql', ['openssl', 'gzip']],
    ['k.enc', `pg_dump | ${enc} -md md5 > k.enc 2>/dev/null`, 'sql', ['openssl']],
    ['l.gz', `pg_dump -Fc | ${enc} -pbkdf2 | gzip > l.gz`, 'custom', ['gzip', 'openssl']],
    ['m.sql', 'pg_dump --inserts --verbose > m.sql 2>/dev/null', 'sql', []],
  ])('%s, made by: %s', async (name, line, kind, layers) => {
    await shell(line)
    const { file, restored } = await restoreNamed(name)
    try {
      expect(file).toMatchObject({ kind, layers })
      expect(restored.oneTransaction).toBe(kind === 'sql')
      expect(restored.holds.tables).toMatchObject([{ name: 'customer', rows: 20_001 }])
      const url = new URL(source.url)
      url.pathname = restored.database
      await shell(
        `diff <(psql -Xqc 'COPY (SELECT * FROM customer ORDER BY id) TO STDOUT') <(psql -Xqd ${restored.database} -c 'COPY (SELECT * FROM customer ORDER BY id) TO STDOUT')`,
      )
    } finally {
      await source.query(`DROP DATABASE ${restored.database}`)
    }
  })

  it('made with unusual options of openssl is opened by naming them', async () => {
    await shell(`pg_dump | ${enc} -pbkdf2 -iter 1234 -md sha512 > odd.enc`)
    await expectRefused(() => restoreNamed('odd.enc'), 'KEY_WRONG', /No configured passphrase opens/)
    const named = { ...opening, derivation: { iterations: 1234, digest: 'sha512' } }
    const { restored } = await restoreNamed('odd.enc', { opening: named })
    await source.query(`DROP DATABASE ${restored.database}`)
  })

  it('of several files or compressions goes in with several jobs only as it is', async () => {
    await shell('pg_dump -Fd -f jobs && pg_dump -Fc | gzip > jobs.gz')
    const { restored } = await restoreNamed('jobs', { jobs: 2 })
    await source.query(`DROP DATABASE ${restored.database}`)
    await expectRefused(
      () => restoreNamed('jobs.gz', { jobs: 2 }),
      'USAGE',
      /inside of gzip with several jobs/,
    )
  })
})

describe('what cannot be restored', () => {
  const file = async (name: string, content: string | Buffer) => {
    await writeFile(directory.join(name), content)
    return name
  }

  it.each([
    ['an empty file', '', /is empty/],
    ['bytes', Buffer.from('00ff00ff0102', 'hex'), /begins with the bytes 00ff00ff0102/],
    ['prose', 'Dear diary, today', /begins with "Dear diary, toda"/],
    ['an xz file', Buffer.from('fd377a585a0000', 'hex'), /compressed with xz/],
    ['a zip file', 'PK\u0003\u0004', /a zip archive/],
    ['a dump of MySQL', '-- MySQL dump 10.13  Distrib\n', /a dump of MySQL/],
    ['UTF-16', Buffer.from('\ufeff-- PostgreSQL database dump\n', 'utf16le'), /UTF-16/],
    ['JSON', '{"format":1}', /is JSON/],
  ])('%s is named', async (title, content, says) => {
    const name = await file(title.replaceAll(' ', '_'), content)
    await expectRefused(() => restoreNamed(name), 'FILE_NOT_RECOGNISED', says)
  })

  it('an empty file that was compressed and encrypted, too', async () => {
    await shell(`: | gzip | ${enc} -pbkdf2 > nothing.enc`)
    await expectRefused(
      () => restoreNamed('nothing.enc'),
      'FILE_NOT_RECOGNISED',
      /holds nothing: openssl, then gzip/,
    )
  })

  it('a missing file and a directory without a dump are named', async () => {
    await expectRefused(() => restoreNamed('missing'), 'FILE_NOT_FOUND', /neither a backup nor a file/)
    await expectRefused(() => restoreNamed('.'), 'FILE_NOT_RECOGNISED', /is a directory/)
  })

  it.each([
    ['pg_dump --create', 'pg_dump --create > x.sql'],
    ['pg_dumpall', 'pg_dumpall --no-role-passwords | gzip > x.sql'],
  ])('the output of %s is told apart, with the command to try', async (_title, line) => {
    await shell(line)
    await expect(restoreNamed('x.sql')).rejects.toMatchObject({
      code: 'FILE_NOT_RECOGNISED',
      message: expect.stringMatching(/creates databases of its own/),
      hint: expect.stringMatching(/psql --no-psqlrc --set=ON_ERROR_STOP=1/),
    })
  })

  it.each([
    ['gzip', 'pg_dump | gzip > cut', /its gzip ends in the middle/],
    ['zstd', 'pg_dump | zstd -q > cut', /its zstd ends in the middle/],
    ['openssl', `pg_dump | ${enc} -pbkdf2 > cut`, /cut off/],
    ['gzip inside of openssl', `pg_dump | gzip | ${enc} -pbkdf2 > cut`, /cut off/],
    ['SQL', 'pg_dump > cut', /the last line of pg_dump is missing/],
    ['a custom archive', 'pg_dump -Fc > cut', /damaged or cut short/],
    ['a tar archive', 'pg_dump -Ft > cut', /its tar archive ends in the middle/],
  ])('%s that is cut off leaves nothing', async (_title, line, says) => {
    await shell(line)
    const { length } = await readFile(directory.join('cut'))
    for (const part of [0.97, 0.4]) {
      await truncate(directory.join('cut'), Math.floor((length * part) / 16) * 16)
      await expectRefused(() => restoreNamed('cut'), expect.anything() as unknown as string, says)
    }
  })

  it.each([
    ['uncompressed', '-Z0', '.dat', /the end of its table is missing/],
    ['compressed', '-Z6', '.dat.gz', /./],
  ])('a directory with a table that is cut off, %s, leaves nothing', async (title, level, suffix, says) => {
    await shell(`pg_dump -Fd ${level} -f ${title}`)
    const names = await readdir(directory.join(title))
    const [table = ''] = names.filter((name) => /^\d/.test(name) && name.endsWith(suffix))
    await truncate(directory.join(title, table), 100_000)
    await expectRefused(() => restoreNamed(title), expect.anything() as unknown as string, says)
  })

  it('SQL that is cut at the end of a statement is refused, before anything is kept', async () => {
    await shell('pg_dump > cut.sql')
    const text = await readFile(directory.join('cut.sql'), 'utf8')
    await writeFile(
      directory.join('cut.sql'),
      text.slice(0, text.indexOf('ALTER TABLE ONLY public.customer\n    ADD')),
    )
    await expectRefused(
      () => restoreNamed('cut.sql'),
      'STREAM_DAMAGED',
      /the last line of pg_dump is missing/,
    )
    await appendFile(directory.join('cut.sql'), '-- PostgreSQL database dump complete\n')
    const { restored } = await restoreNamed('cut.sql')
    await source.query(`DROP DATABASE ${restored.database}`)
  })

  it('a wrong passphrase, and none, are named', async () => {
    await shell(`pg_dump | gzip | ${enc} -pbkdf2 > w.enc`)
    const wrong = { passphrases: [new Secret('wrong word')], derivation: undefined }
    const none = { passphrases: [], derivation: undefined }
    await expectRefused(
      () => restoreNamed('w.enc', { opening: wrong }),
      'KEY_WRONG',
      /No configured passphrase/,
    )
    await expectRefused(() => restoreNamed('w.enc', { opening: none }), 'KEY_MISSING', /no passphrase is set/)
  })

  it.each(['sql', 'archive'])('%s that needs a role which the server lacks is refused', async (form) => {
    const role = `gone_${source.name}`
    await source.query(`CREATE ROLE ${role}`)
    await source.query(`GRANT SELECT ON customer TO ${role}`)
    await shell(`pg_dump ${form === 'sql' ? '' : '-Fc'} > role`)
    await source.query(`DROP OWNED BY ${role}`)
    await source.query(`DROP ROLE ${role}`)
    await expectRefused(() => restoreNamed('role'), 'RESTORE_FAILED', new RegExp(role))
  })
})
