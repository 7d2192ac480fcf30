import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, cp, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join, resolve } from 'node:path'
import { generateKey } from '@securyflex/shared/keys'
import { type Ran, runCommand } from '../helpers/run-command.ts'
import { freePort } from '../helpers/free-port.ts'
import { makeBackup } from '../helpers/make-backup.ts'
import { createDatabase, type TestDatabase } from '../helpers/postgres.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'
import { testWhere } from '../helpers/test-where.ts'
import { badInput, badRuns, type BadInput, type Place } from './bad-input.ts'

/**
 * Guards against a hang, in ms. An error takes a second, a run that fails three, on a machine that has nothing else
 * to do; one that is busy with other tests takes many times as long, so that a limit near to these would say nothing.
 */
const patience = 60_000
const mayMount = process.platform === 'linux' && process.getuid?.() === 0

let directory: TemporaryDirectory
let elsewhere: TemporaryDirectory
let database: TestDatabase
let taken: Server
let place: Place

beforeAll(async () => {
  ;[directory, elsewhere] = await Promise.all([temporaryDirectory(), temporaryDirectory()])
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
    fullDirectory: mayMount ? await fullDirectory() : undefined,
  }
  await mkdir(place.emptyDirectory)
  await spoiltRepositories()
  await writeFile(directory.join('empty.json'), '')
  await writeFile(
    directory.join('slip.yaml'),
    'sources:\n  wiki:\n    ur: postgresql://shop@db.example.com/wiki\n',
  )
  await writeFile(directory.join('broken.yaml'), 'sources: [\n')
  await writeFile(directory.join('empty.yaml'), '')
  const wiki = 'sources:\n  wiki:\n    url: postgresql://shop@db.example.com/wiki\n'
  await writeFile(directory.join('star.yaml'), `${wiki}    exclude: { tables: *scratch }\n`)
  await writeFile(directory.join('level.yaml'), `${wiki}    compression: { algorithm: gzip, level: 15 }\n`)
  await writeFile(directory.join('misplaced.yaml'), `${wiki}    schedule: \${SHOP_PASSWORD}\n`)
  await writeFile(directory.join('notes.txt'), 'Dear diary, today I backed up.\n')
  await writeFile(directory.join('shop.sql'), '--\n-- PostgreSQL database dump\n--\n')
})

afterAll(async () => {
  taken.close()
  if (mayMount) execFileSync('umount', ['--lazy', elsewhere.join('full')])
  await elsewhere.remove()
  await database.query(`DROP ROLE poor_${database.name}`)
  await database.drop()
  await directory.remove()
})

/** Copies of the repository: in one the key record is cut off, in the other what it says of itself. */
async function spoiltRepositories(): Promise<void> {
  const [record = ''] = await readdir(directory.join('backups', 'repository', 'keys'))
  for (const [copy, file] of [
    ['spoilt-record', join('keys', record)],
    ['spoilt-repository', 'repository.json'],
  ] as const) {
    await cp(directory.join('backups'), directory.join(copy), { recursive: true })
    await truncate(directory.join(copy, 'repository', file), 20)
  }
}

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

/** A file system of 64 KiB with a file that takes all of it. */
async function fullDirectory(): Promise<string> {
  const path = elsewhere.join('full')
  await mkdir(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path])
  await writeFile(join(path, 'everything'), Buffer.alloc(64 * 1024))
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

function run({ args, env }: BadInput, more: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const settings = {
    DATABASE_URL: place.databaseUrl,
    BACKUP_DIR: place.directory,
    BACKUP_SOURCE: 'shop',
    BACKUP_ENCRYPTION: 'true',
    BACKUP_ENCRYPTION_KEY: place.key,
    ...more,
    ...env?.(place),
  }
  return runCommand(args(place), { env: settings, directory: directory.path, timeout: patience })
}

describe('bad input', () => {
  for (const one of badInput) {
    testWhere(mayMount || !one.full, 'only root may mount a small file system')(one.what, async () => {
      const before = await everything()
      const ran = await run(one)
      expect(ran.stdout).toBe('')
      const lines = ran.stderr.trimEnd().split('\n')
      expect(lines).toEqual([expect.stringMatching(one.says), expect.stringMatching(one.remedy)])
      expect(ran.status).toBe(one.status)
      expect(await everything()).toEqual(before)
    })
  }

  it('shows where an error came up only with BACKUP_LOG_LEVEL=debug', async () => {
    const env = { BACKUP_DIR: place.directory, BACKUP_LOG_LEVEL: 'debug' }
    const { stderr } = await runCommand(['verify', 'latest'], { env, directory: directory.path })
    expect(stderr).toMatch(/^ {4}at .*key-ring\.ts/m)
  })
})

describe('a run with', () => {
  it.each(badRuns.map((one) => [one.what, one] as const))('%s fails', async (title, one) => {
    const before = await everything()
    const home = elsewhere.join(title.replaceAll(/\W+/g, '-'))
    const { stdout, stderr, status } = await run(one, { BACKUP_DIR: home })
    const told = stderr.trimEnd().split('\n').at(-1) ?? ''
    const split = told.search(/(?:Type|Install) /)
    expect([told.slice(0, split - 1), told.slice(split)]).toEqual([
      expect.stringMatching(one.says),
      expect.stringMatching(one.remedy),
    ])
    expect(stdout).toMatch(/^Failed in \S+ s; there is no backup of this run: shop\.\S+$/m)
    expect(stdout + stderr).not.toMatch(/^ +at /m)
    expect(status).toBe(one.status)
    // Of the run there is a report, and neither a manifest nor a segment.
    expect(await readdir(join(home, 'repository', 'shop'))).toEqual(['runs'])
    expect(await readdir(join(home, 'spool', 'runs'))).toEqual([])
    expect(await everything()).toEqual(before)
  })
})

describe('docs/when-things-go-wrong.md', () => {
  it('says what the program says', async () => {
    const all = [...badInput, ...badRuns]
    const page = await readFile(resolve(import.meta.dirname, '../../docs/when-things-go-wrong.md'), 'utf8')
    const rows = [...page.matchAll(/^\|(.*)\|$/gm)]
      .map(([, row = '']) => row.split('|').map((cell) => cell.trim().replaceAll('\\*', '*')))
      .filter((row) => row.length === 4 && row[0] !== 'what is wrong' && !row[0]?.startsWith('---'))
    expect(rows.map(([what]) => what)).toEqual(all.map(({ what }) => what))
    for (const [index, [, says, remedy, status]] of rows.entries()) {
      expect(says).toMatch(all[index]?.says ?? /never/)
      expect(remedy).toMatch(all[index]?.remedy ?? /never/)
      expect(Number(status)).toBe(all[index]?.status)
    }
  })
})
