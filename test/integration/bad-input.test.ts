import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join, resolve } from 'node:path'
import { generateKey } from '@securyflex/shared/keys'
import { runCommand } from '../helpers/run-command.ts'
import { freePort } from '../helpers/free-port.ts'
import { makeBackup } from '../helpers/make-backup.ts'
import { createDatabase, type TestDatabase } from '../helpers/postgres.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'
import { badInput, type Place } from './bad-input.ts'

/** An error takes a second, and never more than five (on a machine that has nothing else to do); ms. */
const patience = 15_000

let directory: TemporaryDirectory
let database: TestDatabase
let taken: Server
let place: Place

beforeAll(async () => {
  directory = await temporaryDirectory()
  database = await createDatabase()
  await database.query('CREATE TABLE item (id int)')
  const key = generateKey()
  const run = await makeBackup({
    url: database.url,
    repository: directory.join('backups', 'repository'),
    key,
  })
  taken = createServer()
  taken.listen(0, '127.0.0.1')
  await once(taken, 'listening')
  place = {
    directory: directory.join('backups'),
    databaseUrl: database.url,
    key,
    run,
    closedPort: await freePort(),
    takenPort: (taken.address() as { port: number }).port,
    poorUrl: await poorRole(),
    emptyDirectory: directory.join('empty'),
    oldTools: await oldTools(),
  }
  await mkdir(place.emptyDirectory)
  await writeFile(directory.join('empty.json'), '')
  await writeFile(directory.join('notes.txt'), 'Dear diary, today I backed up.\n')
  await writeFile(directory.join('shop.sql'), '--\n-- PostgreSQL database dump\n--\n')
})

afterAll(async () => {
  taken.close()
  await database.query(`DROP ROLE poor_${database.name}`)
  await database.drop()
  await directory.remove()
})

async function poorRole(): Promise<string> {
  const role = `poor_${database.name}`
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'poor password'`)
  const url = new URL(database.url)
  url.username = role
  url.password = 'poor password'
  return url.href
}

/** Programs that say that they are of version 9.6. */
async function oldTools(): Promise<string> {
  const path = directory.join('old')
  await mkdir(path)
  for (const name of ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql']) {
    await writeFile(join(path, name), `#!/bin/sh\necho "${name} (PostgreSQL) 9.6.24"\n`)
    await chmod(join(path, name), 0o755)
  }
  return path
}

/** Every file with its content, and every database, so that anything new is seen. */
async function everything(): Promise<string[]> {
  const names = await readdir(directory.path, { recursive: true, withFileTypes: true })
  const files = await Promise.all(
    names
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name)
        return `${path} ${createHash('sha256')
          .update(await readFile(path))
          .digest('hex')}`
      }),
  )
  const restored = await database.query(`SELECT datname FROM pg_database WHERE datname = 'restored'`)
  return [...files.sort(), ...names.map(({ name }) => name).sort(), `restored: ${String(restored.rowCount)}`]
}

describe('bad input', () => {
  it.each(badInput.map((one) => [one.what, one] as const))(
    '%s',
    async (_title, { args, env, says, remedy, status }) => {
      const before = await everything()
      const settings = {
        DATABASE_URL: place.databaseUrl,
        BACKUP_DIR: place.directory,
        BACKUP_SOURCE: 'shop',
        BACKUP_ENCRYPTION: 'true',
        BACKUP_ENCRYPTION_KEY: place.key,
        ...env?.(place),
      }
      const ran = await runCommand(args(place), {
        env: settings,
        directory: directory.path,
        timeout: patience,
      })
      expect(ran.stdout).toBe('')
      const lines = ran.stderr.trimEnd().split('\n')
      expect(lines).toEqual([expect.stringMatching(says), expect.stringMatching(remedy)])
      expect(ran.status).toBe(status)
      expect(await everything()).toEqual(before)
    },
  )

  it('shows where an error came up only with BACKUP_LOG_LEVEL=debug', async () => {
    const env = { BACKUP_DIR: place.directory, BACKUP_LOG_LEVEL: 'debug' }
    const { stderr } = await runCommand(['verify', 'latest'], { env, directory: directory.path })
    expect(stderr).toMatch(/^ {4}at .*key-ring\.ts/m)
  })
})

describe('docs/when-things-go-wrong.md', () => {
  it('says what the program says', async () => {
    const page = await readFile(resolve(import.meta.dirname, '../../docs/when-things-go-wrong.md'), 'utf8')
    const rows = [...page.matchAll(/^\|(.*)\|$/gm)]
      .map(([, row = '']) => row.split('|').map((cell) => cell.trim().replaceAll('\\*', '*')))
      .filter((row) => row.length === 4 && row[0] !== 'what is wrong' && !row[0]?.startsWith('---'))
    expect(rows.map(([what]) => what)).toEqual(badInput.map(({ what }) => what))
    for (const [index, [, says, remedy, status]] of rows.entries()) {
      expect(says).toMatch(badInput[index]?.says ?? /never/)
      expect(remedy).toMatch(badInput[index]?.remedy ?? /never/)
      expect(Number(status)).toBe(badInput[index]?.status)
    }
  })
})
