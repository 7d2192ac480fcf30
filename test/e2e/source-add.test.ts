import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { startCommand, until } from '../helpers/command.ts'
import { createDatabase, type TestDatabase } from '../helpers/postgres.ts'
import { runCommand } from '../helpers/run-command.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../helpers/temporary-directory.ts'

jest.setTimeout(240_000)

let directory: TemporaryDirectory
let first: TestDatabase
let second: TestDatabase
let env: Record<string, string>

beforeEach(async () => {
  ;[directory, first, second] = await Promise.all([temporaryDirectory(), createDatabase(), createDatabase()])
  env = {
    DATABASE_URL: first.url,
    BACKUP_SOURCE: 'shop',
    BACKUP_DIR: directory.join('backups'),
    BACKUP_CONFIG: directory.join('backup.config.yaml'),
    DASHBOARD_PORT: '0',
  }
  writeFileSync(
    directory.join('backup.config.yaml'),
    '# ours\ndefaults:\n    timeZone: Europe/Berlin # theirs\n',
  )
})
afterEach(async () => {
  await Promise.all([first.drop(), second.drop()])
  await directory.remove()
})

const run = (...args: string[]) => runCommand(args, { directory: directory.path, env, timeout: 120_000 })
const read = (name: string) => readFileSync(directory.join(name), 'utf8')

describe('source add', () => {
  it('adds a second database to a running installation, which then backs it up', async () => {
    await using service = startCommand(['start'], env, directory.path)
    await service.line(/worker {4}\|.*Serving all steps/)
    await service.line(/producer {2}\|.*Backups of shop/)

    const added = await run('source', 'add', second.url, '--name', 'wiki', '--schedule', '30 1 * * *')
    expect(added).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^wiki is added to .*\.env and /),
    })
    expect(added.stderr).toContain('PostgreSQL 1')
    expect(added.stderr).toContain('GRANT pg_read_all_data TO "securyflex_backup";')
    expect(added.stderr).toMatch(/Its next backup: \S+ 01:30:00 Europe\/Berlin/)
    expect(added.stderr).toContain('The running service (process')
    expect(added.stdout + added.stderr).not.toContain(second.password)
    expect(read('backup.config.yaml')).toBe(
      [
        '# ours\ndefaults:\n    timeZone: Europe/Berlin # theirs\nsources:\n  wiki:\n',
        `    url: ${second.url.replace(second.password, '${SOURCE_WIKI_PASSWORD}')}\n`,
        '    schedule: 30 1 * * *\n',
      ].join(''),
    )
    expect(read('.env')).toBe(`SOURCE_WIKI_PASSWORD=${second.password}\n`)
    for (const name of ['.env', 'backup.config.yaml'])
      expect(statSync(directory.join(name)).mode & 0o777).toBe(0o600)

    await service.line(/worker {4}\|.*read again: wiki is added/)
    await service.line(/producer {2}\|.*Backups of wiki: 30 1/)
    const asked = await run('enqueue-job', 'wiki')
    expect(asked.status).toBe(0)
    const name = asked.stdout.trim()
    await until('its backup is there', async () => (await run('list', 'wiki')).stdout.includes(name), 120_000)
    service.kill('SIGTERM')
    expect(await service.ended).toBe(0)
  })

  it('refuses what is there already, and what cannot be backed up; nothing is written then', async () => {
    const before = read('backup.config.yaml')
    const cases: [string[], number, RegExp][] = [
      [[second.url, '--name', 'shop'], 2, /There is a source “shop” already/],
      [[first.url, '--name', 'other'], 2, /That database is a source already: “shop”/],
      [[second.url.replace(second.name, 'nowhere')], 4, /nowhere/],
      [[second.url, '--name', 'wiki', '--schedule', '61 * * * *'], 2, /sources\.wiki\.schedule.*minute/s],
      [[second.url, '--name', 'wiki', '--destination', 'mars'], 2, /no destination “mars”/],
      [['mysql://u:planted1@h/d'], 2, /connection string/],
    ]
    for (const [args, status, text] of cases) {
      const refused = await run('source', 'add', ...args)
      expect({ args, ...refused }).toMatchObject({ status, stderr: expect.stringMatching(text) })
      expect(refused.stderr).not.toContain('planted1')
    }
    expect(read('backup.config.yaml')).toBe(before)
    expect(() => read('.env')).toThrow()
  })

  it('takes the connection string from standard input, and a database that is not there yet by force', async () => {
    const url = second.url.replace(second.name, 'later')
    const forced = await run('source', 'add', url, '--force', '--json')
    expect(forced.status).toBe(0)
    expect(JSON.parse(forced.stdout)).toMatchObject({
      source: 'later',
      variables: ['SOURCE_LATER_PASSWORD'],
      reloaded: false,
    })
    const none = await run('source', 'add', '-')
    expect(none).toMatchObject({ status: 2, stderr: expect.stringContaining('Standard input is empty') })
  })
})

describe('source add for every database of a server', () => {
  it('writes the server once, says what it stands for now, and config check reaches it', async () => {
    const url = second.url.replace(second.name, '*')
    const added = await run('source', 'add', url, '--name', 'fleet', '--exclude', 't_*', '--exclude', 'x')
    expect(added).toMatchObject({ status: 0, stdout: expect.stringMatching(/^fleet is added to /) })
    expect(added.stderr).toMatch(/backed up, each as a source of its own: .*\bpostgres\b/)
    expect(added.stderr).toMatch(new RegExp(`Left out: .*${second.name}`))
    expect(added.stderr).toMatch(/Its next backup: /)
    const maintenance = url.replace('*', 'postgres').replace(second.password, '${SOURCE_FLEET_PASSWORD}')
    expect(read('backup.config.yaml')).toContain(
      `  fleet:\n    url: ${maintenance}\n    database: "*"\n    exclude:\n`,
    )
    expect((await run('config', 'check')).stdout).toMatch(/^ {2}fleet-\* +postgresql:/m)
    const again = await run('source', 'add', second.url, '--all', '--name', 'more', '--json')
    expect(again).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/Every database of that server is backed up already: “fleet”/),
    })
    const wrong = await run('source', 'add', second.url, '--exclude', 'x')
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('Add --all') })
  })

  it('finds a name for it in that of the host, and tells programs its databases', async () => {
    const url = second.url.replace('127.0.0.1', 'localhost')
    const added = await run('source', 'add', url, '--all', '--json')
    expect(JSON.parse(added.stdout)).toMatchObject({
      source: 'localhost',
      databases: { backedUp: expect.arrayContaining([second.name, 'postgres']), leftOut: [] },
    })
  })
})

describe('destination add', () => {
  it('adds a place beside the one that there was, and every source goes there too', async () => {
    const added = await run('destination', 'add', 'nas', '--directory', directory.join('nas'))
    expect(added).toMatchObject({ status: 0, stderr: expect.stringContaining('are free') })
    const shown = await run('config', 'show', '--json')
    expect(JSON.parse(shown.stdout)).toMatchObject({
      destinations: [
        { setting: 'local', value: directory.join('backups/repository') },
        { setting: 'nas', value: directory.join('nas') },
      ],
    })
    const twice = await run('destination', 'add', 'nas', '--directory', directory.join('nas'))
    expect(twice).toMatchObject({ status: 2, stderr: expect.stringContaining('There is “nas” already') })
    writeFileSync(directory.join('file'), '')
    const refused = await run('destination', 'add', 'odd', '--directory', directory.join('file'))
    expect(refused.status).toBe(6)
    expect(read('backup.config.yaml')).not.toContain('odd')
  })
})

describe('config check', () => {
  it('tells of everything, and the next five times of each schedule', async () => {
    const good = await run('config', 'check', '--json')
    expect(good.status).toBe(0)
    const { sources, schedules, destinations } = JSON.parse(good.stdout) as {
      sources: unknown
      destinations: unknown
      schedules: { next: string[] }[]
    }
    expect(sources).toMatchObject([{ name: 'shop', tools: expect.stringMatching(/^\d+/), problem: null }])
    expect(destinations).toMatchObject([{ name: 'local', missing: true, problem: null }])
    expect(schedules.map(({ next }) => next.length)).toEqual([5])
    const told = await run('config', 'check')
    expect(told.stdout).toMatch(/next:\n( {2}\S+ 02:00:00 Europe\/Berlin \(\S+ 0[01]:00:00 UTC\)\n?){5}/)
  })

  it('tells of a group by its server, and of a schedule each', async () => {
    const sources = `servers: { main: { url: '${second.url}' } }\nsources: { all: { server: main, database: '*', schedule: ['@daily', '0 0 L * *'] } }\n`
    writeFileSync(directory.join('backup.config.yaml'), sources)
    const good = await run('config', 'check')
    expect(good.status).toBe(0)
    expect(good.stdout).toMatch(/^ {2}all-\* +postgresql:\S+ +PostgreSQL 1\d\.\d+, tools /m)
    expect(good.stdout.match(/^Schedule of all: .*; next:$/gm)).toHaveLength(2)
  })

  it('names every trouble, and exits with the status of the first', async () => {
    env = { ...env, REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: first.url.replace(first.name, 'nowhere') }
    const bad = await run('config', 'check')
    expect(bad.status).toBe(5)
    expect(bad.stdout.match(/NOT GOOD/g)).toHaveLength(2)
    expect(bad.stdout).not.toContain(first.password)
  })

  it('config show tells who said what, and no secret', async () => {
    writeFileSync(
      directory.join('.env'),
      'BACKUP_RETENTION_DAYS=9\nBACKUP_WEBHOOK_URL=https://h.example/planted1\n',
    )
    const shown = await run('config', 'show')
    expect(shown.status).toBe(0)
    expect(shown.stdout).toMatch(/timeZone +Europe\/Berlin +backup\.config\.yaml:3/)
    expect(shown.stdout).toMatch(/retention\.days +9 +BACKUP_RETENTION_DAYS in \.env/)
    expect(shown.stdout).toMatch(/overlap +skip +built in/)
    expect(shown.stdout).toMatch(/DATABASE_URL +postgresql:\S+ +DATABASE_URL in the environment/)
    expect(shown.stdout + shown.stderr).not.toContain('planted1')
    expect(shown.stdout + shown.stderr).not.toContain(first.password)
  })
})

describe('init', () => {
  it('makes a configuration that backs up, with a key of its own, and never overwrites one', async () => {
    const fresh = await temporaryDirectory()
    const options = { directory: fresh.path, env: {}, timeout: 120_000 }
    const made = await runCommand(
      ['init', '--url', second.url, '--name', 'wiki', '--directory', 'kept', '--time-zone', 'UTC', '--yes'],
      options,
    )
    expect(made).toMatchObject({ status: 0, stderr: expect.stringContaining('Keep a copy of it away') })
    const [yaml, dotenv] = ['backup.config.yaml', '.env'].map((name) =>
      readFileSync(fresh.join(name), 'utf8'),
    )
    expect(yaml).toMatch(/^# yaml-language-server: \$schema=/)
    expect(yaml).not.toContain(second.password)
    expect(dotenv).toMatch(/^BACKUP_DIR=.*kept\nBACKUP_ENCRYPTION_KEY=[0-9a-f]{64}\nSOURCE_WIKI_PASSWORD=/)
    expect(statSync(fresh.join('.env')).mode & 0o777).toBe(0o600)
    const backup = await runCommand(['backup', '--json'], options)
    expect({ ...backup, status: backup.status }).toMatchObject({ status: 0 })
    const again = await runCommand(['init', '--url', second.url, '--yes'], options)
    expect(again).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('There is a configuration already'),
    })
    expect(readFileSync(fresh.join('.env'), 'utf8')).toBe(dotenv)
    const nobody = await runCommand(['init'], options)
    expect(nobody).toMatchObject({ status: 2, stderr: expect.stringContaining('Nobody can be asked here') })
    await fresh.remove()
  })
})
