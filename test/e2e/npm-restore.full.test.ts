import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parseConnection } from '@securyflex/shared/config'
import { findTools, libpqEnvironment } from '@securyflex/shared/postgres'
import pg from 'pg'
import { type Clone, makeClone } from '../helpers/clone.ts'
import { createDatabase, type TestDatabase } from '../helpers/postgres.ts'

const minutes = 60_000
let clone: Clone
let source: TestDatabase
/** A database that was lost: it is in DATABASE_URL, and is not there. */
let lost: string

beforeAll(async () => {
  ;[clone, source] = await Promise.all([makeClone(), createDatabase()])
  lost = `${source.name}_lost`
  await source.query(
    'CREATE TABLE orders AS SELECT n AS id, md5(n::text) AS note FROM generate_series(1, 5000) AS n',
  )
  await mkdir(clone.join('backups'))
  // As the older scripts did it: dump, then gzip, then openssl.
  const { directory } = await findTools(15)
  const made = await sh(
    `set -e
     pg_dump | gzip > backups/backup.sql.gz
     openssl enc -aes-256-cbc -salt -pbkdf2 -pass env:WORD -in backups/backup.sql.gz -out backups/backup.sql.gz.enc`,
    {
      ...libpqEnvironment(parseConnection(source.url, {}).connection),
      WORD: 'short one',
      PATH: `${directory}:${String(process.env['PATH'])}`,
    },
  )
  expect(made).toEqual({ status: 0, output: '' })
}, 2 * minutes)

afterAll(async () => {
  await source.drop()
  await clone[Symbol.asyncDispose]()
})

/** Runs a line in the clone as somebody types it there. */
async function sh(
  line: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ status: number | null; output: string }> {
  const ours = /^(npm_|BACKUP_|DATABASE_URL|REDIS_URL|PG)/i
  const inherited = Object.entries(process.env).filter(([name]) => !ours.test(name))
  const child = spawn('bash', ['-c', `${line} 2>&1`], {
    cwd: clone.path,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output, [status]] = await Promise.all([
    text(child.stdout),
    once(child, 'exit') as Promise<[number | null]>,
  ])
  return { status, output }
}

async function expectOrders(name: string): Promise<void> {
  const client = new pg.Client(source.url.replace(source.name, name))
  await client.connect()
  const { rows } = await client.query('SELECT count(*)::int AS count FROM orders').finally(() => client.end())
  expect(rows).toEqual([{ count: 5000 }])
  await source.query(`DROP DATABASE ${name}`)
}

describe('the line that was typed for the older scripts', () => {
  it(
    'npm run backup:restore ./backups/backup.sql.gz --yes restores a database that was lost',
    async () => {
      const url = source.url.replace(source.name, lost)
      const line = 'npm run backup:restore ./backups/backup.sql.gz --yes'
      const { status, output } = await sh(line, { DATABASE_URL: url })
      expect({ status, output }).toMatchObject({ status: 0 })
      expect(output).toContain(`Restored ./backups/backup.sql.gz into "${lost}"`)
      await expectOrders(lost)
    },
    2 * minutes,
  )

  it(
    'puts it beside one that is there, with the passphrase of an encrypted file in .env',
    async () => {
      await writeFile(
        clone.join('.env'),
        `DATABASE_URL=${source.url}\nBACKUP_OPENSSL_PASSPHRASE="short one"\n`,
      )
      const { status, output } = await sh('npm run backup:restore ./backups/backup.sql.gz.enc --yes')
      expect({ status, output }).toMatchObject({ status: 0 })
      expect(output).toContain(`into "${source.name}_restored"`)
      expect(output).toContain(`ALTER DATABASE "${source.name}" RENAME TO "${source.name}_before"`)
      await expectOrders(`${source.name}_restored`)
    },
    2 * minutes,
  )

  it(
    'without --yes asks, and where nobody can be asked it says so and does nothing',
    async () => {
      const { status, output } = await sh('npm run backup:restore ./backups/backup.sql.gz', {
        DATABASE_URL: source.url.replace(source.name, lost),
      })
      expect({ status, output }).toMatchObject({
        status: 2,
        output: expect.stringMatching(/Nobody can be asked here/),
      })
      const there = await source.query('SELECT FROM pg_database WHERE datname = $1', [lost])
      expect(there.rowCount).toBe(0)
    },
    2 * minutes,
  )
})
