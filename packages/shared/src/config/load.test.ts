import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import { makeCertificates } from '../../../../test/helpers/certificates.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { loadConfig, requireSource } from './index.ts'
import type { Need } from './load.ts'

const key = 'correct horse battery staple'
let directory: TemporaryDirectory

beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => directory.remove())

const load = (env: Record<string, string>, needs?: readonly Need[]) =>
  loadConfig({
    env: { HOME: directory.path, ...env },
    directory: directory.path,
    ...(needs ? { needs } : {}),
  })

function problemOf(env: Record<string, string>, needs?: readonly Need[]): BackupError {
  try {
    load(env, needs)
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('The configuration was accepted.')
}

const file = (name: string, text: string) => {
  writeFileSync(directory.join(name), text)
  return directory.join(name)
}

it('an empty environment is a valid configuration', () => {
  expect(load({})).toMatchObject({
    redis: undefined,
    directory: directory.join('backups'),
    sources: [],
    groups: [],
    defaults: {
      schedules: [{ cron: '0 2 * * *', timeZone: 'Europe/Amsterdam' }],
      compression: { algorithm: 'zstd', level: 2 },
      cipher: 'none',
      retention: { days: 30, daily: undefined, minimum: 3 },
      fingerprint: 'counts',
      destinations: ['local'],
      channels: ['log'],
    },
    keys: { current: undefined, previous: [] },
    scheduleEnabled: true,
    webhook: undefined,
    spool: { directory: directory.join('backups', 'spool'), limit: 2 ** 30 },
    stallMinutes: 15,
    dashboard: { host: '127.0.0.1', port: 3000 },
    worker: { concurrency: { dump: 1, upload: 4 }, lockDuration: 60_000, stalledInterval: 15_000 },
    logs: { directory: directory.join('backups', 'logs'), level: 'info' },
    warnings: [],
  })
})

it('every value can be set', () => {
  const config = load({
    DATABASE_URL: 'postgresql://ann:secret@localhost/my.shop',
    REDIS_URL: 'rediss://user:p%40ss@redis.example.com:6380/2',
    BACKUP_DIR: 'elsewhere',
    BACKUP_COMPRESSION_ALGORITHM: 'GZIP',
    BACKUP_ENCRYPTION: 'yes',
    BACKUP_ENCRYPTION_KEY: key,
    BACKUP_ENCRYPTION_KEY_PREVIOUS: `${'0123456789abcdef'.repeat(3)}fedcba9876543210,${key} of old`,
    BACKUP_ENCRYPTION_ALGORITHM: 'aes-256-cbc',
    BACKUP_SCHEDULE_ENABLED: '0',
    BACKUP_CRON: '@daily',
    BACKUP_TIMEZONE: 'UTC',
    BACKUP_WEBHOOK_URL: 'https://hooks.example.com/services/T000/hidden',
    BACKUP_SPOOL_LIMIT: '2GB',
    WORKER_CONCURRENCY_DUMP: '3',
    DASHBOARD_HOST: '0.0.0.0',
    DASHBOARD_USER: 'admin',
    DASHBOARD_PASSWORD: 'long enough',
  })
  expect(config).toMatchObject({
    sources: [{ name: 'my-shop', connection: { database: 'my.shop' } }],
    redis: { shown: 'rediss://redis.example.com:6380/2' },
    directory: directory.join('elsewhere'),
    defaults: {
      compression: { algorithm: 'gzip', level: 6 },
      cipher: 'aes-256-cbc',
      schedules: [],
      timeZone: 'UTC',
      channels: ['log', 'webhook'],
    },
    scheduleEnabled: false,
    webhook: { shown: 'https://hooks.example.com/…' },
    spool: { limit: 2e9 },
    worker: { concurrency: { dump: 3 } },
    dashboard: { host: '0.0.0.0', user: 'admin' },
  })
  expect(config.keys.previous).toHaveLength(2)
  expect(config.webhook?.url.reveal()).toBe('https://hooks.example.com/services/T000/hidden')
  expect(JSON.stringify(config)).not.toMatch(/secret@|p%40ss|p@ss|horse|hidden|long enough/)
})

it('rules of retention are taken together: who sets one sets all, and the minimum stays', () => {
  const rules = load({ BACKUP_RETENTION_DAILY: '7', BACKUP_RETENTION_YEARLY: '2' }).defaults.retention
  expect(rules).toEqual({ daily: 7, yearly: 2, minimum: 3 })
  expect(load({ BACKUP_RETENTION_DAYS: '9', BACKUP_RETENTION_LAST: '4' }).defaults.retention).toMatchObject({
    days: 9,
    last: 4,
  })
  expect(load({ BACKUP_RETENTION_MINIMUM: '1' }).defaults.retention).toMatchObject({ days: 30, minimum: 1 })
})

it('no compression has level 0', () => {
  expect(load({ BACKUP_COMPRESSION: 'no', BACKUP_COMPRESSION_LEVEL: '9' }).defaults.compression).toEqual({
    algorithm: 'none',
    level: 0,
  })
})

describe('a wrong value is reported with its variable, what is wrong, and what is right', () => {
  it.each<[string, string, RegExp, string]>([
    ['BACKUP_COMPRESSION', 'maybe', /“maybe” is neither true nor false/, 'BACKUP_COMPRESSION=true'],
    ['BACKUP_COMPRESSION_ALGORITHM', 'zstandard', /nearest is zstd/, 'BACKUP_COMPRESSION_ALGORITHM=zstd'],
    ['BACKUP_COMPRESSION_LEVEL', '20', /from 1 to 19/, 'BACKUP_COMPRESSION_LEVEL=2'],
    ['BACKUP_ENCRYPTION_ALGORITHM', 'aes-256-ctr', /nearest is aes-256-/, 'aes-256-gcm'],
    ['BACKUP_CRON', '61 * * * *', /the minute “61”/, 'BACKUP_CRON="0 2 * * *"'],
    [
      'BACKUP_TIMEZONE',
      'Europe/Amsterdm',
      /nearest is Europe\/Amsterdam/,
      'BACKUP_TIMEZONE=Europe/Amsterdam',
    ],
    ['BACKUP_RETENTION_DAYS', '0', /from 1 to/, 'BACKUP_RETENTION_DAYS=30'],
    ['BACKUP_RETENTION_DAYS', '1e3', /whole number/, 'BACKUP_RETENTION_DAYS=30'],
    ['BACKUP_RETENTION_DAILY', '0', /from 1 to/, 'BACKUP_RETENTION_DAILY=7'],
    ['BACKUP_SPOOL_LIMIT', '1 gigabyte', /“1 gigabyte” is not a size/, 'BACKUP_SPOOL_LIMIT=1GiB'],
    ['BACKUP_SPOOL_LIMIT', '400MiB', /a dump needs 492MiB/, 'BACKUP_SPOOL_LIMIT=492MiB'],
    ['WORKER_CONCURRENCY_DUMP', '0', /from 1 to 64/, 'WORKER_CONCURRENCY_DUMP=1'],
    ['DASHBOARD_PORT', '70000', /from 0 to 65535/, 'DASHBOARD_PORT=3000'],
    ['DASHBOARD_HOST', '0.0.0.0', /no password/, 'DASHBOARD_USER and DASHBOARD_PASSWORD'],
    ['DASHBOARD_HOST', '::', /no password/, 'DASHBOARD_HOST=127.0.0.1'],
    ['DASHBOARD_USER', 'admin', /DASHBOARD_PASSWORD: it is not set/, 'both'],
    ['DASHBOARD_PASSWORD', 'planted', /DASHBOARD_USER: it is not set/, 'both'],
    ['REDIS_URL', 'localhost:6379', /none of redis:\/\//, 'REDIS_URL=redis://127.0.0.1:6379/0'],
    ['REDIS_URL', 'redis://:planted#more@localhost', /percent-encoded/, 'REDIS_URL=redis:'],
    ['REDIS_URL', 'redis://:planted%@localhost', /percent-encoded/, 'REDIS_URL=redis:'],
    ['REDIS_URL', 'redis://localhost/planted', /only a database number/, 'REDIS_URL=redis:'],
    ['REDIS_URL', 'unix://relative.sock', /path of a socket/, 'REDIS_URL=redis:'],
    ['BACKUP_WEBHOOK_URL', 'hooks.example.com/planted', /not an address/, 'BACKUP_WEBHOOK_URL=https://'],
    ['BACKUP_WEBHOOK_URL', 'ftp://hooks.example.com/planted', /neither https/, 'BACKUP_WEBHOOK_URL=https://'],
    ['BACKUP_SOURCE', 'my shop', /letters, digits/, 'BACKUP_SOURCE=shop'],
    ['BACKUP_FINGERPRINT', 'sums', /nearest is/, 'BACKUP_FINGERPRINT=checksums'],
    ['BACKUP_LOG_LEVEL', 'verbose', /none of error, warn, info, debug/, 'BACKUP_LOG_LEVEL=debug'],
    ['WORKER_STALLED_INTERVAL', '90000', /longer than WORKER_LOCK_DURATION/, 'WORKER_STALLED_INTERVAL=15000'],
    ['DATABASE_URL', 'postgresql://ann:p@planted@db/x', /characters that have a meaning/, '%40'],
    ['DATABASE_URL', 'shop', /not one of PostgreSQL/, 'postgresql://'],
  ])('%s=%s', (name, value, what, remedy) => {
    const problem = problemOf({ [name]: value })
    expect(problem.code).toBe('CONFIG_INVALID')
    expect(problem.message).toMatch(what)
    expect(problem.message).toMatch(/^[A-Z_]+: [^\n]*\.$/)
    expect(problem.hint).toContain(remedy)
    expect(`${problem.message} ${String(problem.hint)}`).not.toContain('planted')
  })

  it('all at once', () => {
    const { code, message, hint } = problemOf({
      BACKUP_CRON: 'x',
      BACKUP_TIMEZONE: 'y',
      BACKUP_NOPE: 'z',
      DATABASE_URL: 'w',
    })
    expect(code).toBe('CONFIG_INVALID')
    const lines = message.trim().split('\n')
    expect(lines[0]).toBe('4 settings are wrong:')
    expect(
      lines
        .slice(1)
        .map((line) => /^ {2}([A-Z_]+): /.exec(line)?.[1])
        .sort(),
    ).toEqual(['BACKUP_CRON', 'BACKUP_NOPE', 'BACKUP_TIMEZONE', 'DATABASE_URL'])
    expect(hint).toContain('docs/configuration.md')
  })
})

describe('a variable that there is not', () => {
  it.each([
    ['BACKUP_RETENTION_DAY', 'BACKUP_RETENTION_DAYS'],
    ['BACKUP_ENCRYPTON', 'BACKUP_ENCRYPTION'],
    ['DASHBOARD_PASSWORD_FIL', 'DASHBOARD_PASSWORD_FILE'],
    ['WORKER_CONCURRENCY_DUMPS', 'WORKER_CONCURRENCY_DUMP'],
  ])('%s: the nearest is %s', (name, nearest) => {
    const { message, hint } = problemOf({ [name]: 'x' })
    expect(`${message} ${String(hint)}`).toContain(
      `${name}: there is no such variable. The nearest known is ${nearest};`,
    )
  })

  it('is not the file of a value that is no secret', () => {
    expect(problemOf({ BACKUP_CRON_FILE: 'x' })).toMatchObject({
      message: 'BACKUP_CRON_FILE: only secrets are read from files, and BACKUP_CRON is none.',
      hint: 'Set BACKUP_CRON itself, and unset BACKUP_CRON_FILE.',
    })
  })

  it.each(['BACKUP_EMAIL', 'BACKUP_EMAIL_TO'])('yet, %s, is not ignored', (name) => {
    const { message, hint } = problemOf({ [name]: 'x' })
    expect(message).toMatch(new RegExp(`^${name}: .* is not built yet\\.$`))
    expect(hint).toContain(`unset ${name}`)
  })

  it('is left alone when empty, or of others', () => {
    expect(() =>
      load({ BACKUP_LOCAL: '', BACKUP_NOPE: ' ', REDIS_NOPE: 'x', MY_BACKUP_X: 'y' }),
    ).not.toThrow()
  })
})

describe('.env', () => {
  it('is read, and the environment wins', () => {
    file('.env', 'BACKUP_RETENTION_DAYS=7 # a week\nBACKUP_CRON="0 4 * * *"\nBACKUP_TIMEZONE=UTC\n')
    const config = load({ BACKUP_CRON: '0 5 * * *', BACKUP_TIMEZONE: '' })
    expect(config.defaults.retention.days).toBe(7)
    expect(config.defaults.schedules).toEqual([{ cron: '0 5 * * *', timeZone: 'Europe/Amsterdam' }])
  })

  it('gives PG… variables to the connection string too', () => {
    file('.env', 'PGPASSWORD=planted\nDATABASE_URL=postgresql://ann@localhost/shop\n')
    expect(load({}).sources[0]?.connection.password?.reveal()).toBe('planted')
    expect(process.env['PGPASSWORD']).toBeUndefined()
  })

  it('may be overruled by the other form of a secret', () => {
    file('.env', `BACKUP_ENCRYPTION_KEY=${key}\n`)
    const path = file('key', 'another passphrase, long and odd\n')
    expect(load({ BACKUP_ENCRYPTION_KEY_FILE: path }).keys.current?.reveal()).toBe(
      'another passphrase, long and odd',
    )
  })

  it('that cannot be read is named', () => {
    mkdirSync(directory.join('.env'))
    expect(problemOf({}).message).toContain(`${directory.join('.env')} cannot be read (EISDIR)`)
  })
})

describe('a secret in a file', () => {
  it('loses its last newline and nothing else', () => {
    const path = file('key', ` ${key} \r\n`)
    expect(load({ BACKUP_ENCRYPTION_KEY_FILE: path }).keys.current?.reveal()).toBe(` ${key} `)
  })

  it('is found from the working directory', () => {
    file('key', key)
    expect(load({ BACKUP_ENCRYPTION_KEY_FILE: 'key' }).keys.current?.reveal()).toBe(key)
  })

  it('may be any of the secrets', () => {
    const config = load({
      DATABASE_URL_FILE: file('a', 'postgresql://ann@localhost/shop\n'),
      REDIS_URL_FILE: file('b', 'unix:///run/redis.sock\n'),
      BACKUP_ENCRYPTION_KEY_PREVIOUS_FILE: file('c', `first, with commas, in it\nsecond, with commas too\n`),
      BACKUP_WEBHOOK_URL_FILE: file('d', 'https://hooks.example.com\n'),
      BACKUP_WEBHOOK_SECRET_FILE: file('e', 'word\n'),
      DASHBOARD_USER: 'admin',
      DASHBOARD_PASSWORD_FILE: file('f', 'password\n'),
    })
    expect(config.sources[0]?.name).toBe('shop')
    expect(config.redis?.shown).toBe('unix:///run/redis.sock')
    expect(config.keys.previous.map((secret) => secret.reveal())).toEqual([
      'first, with commas, in it',
      'second, with commas too',
    ])
    expect(config.webhook?.secret?.reveal()).toBe('word')
    expect(config.dashboard.password?.reveal()).toBe('password')
  })

  it('of one line holds one passphrase, whatever its commas', () => {
    const path = file('old', 'only one, with a comma\n')
    expect(load({ BACKUP_ENCRYPTION_KEY_PREVIOUS_FILE: path }).keys.previous).toHaveLength(1)
  })

  it.each<[string, (env: Record<string, string>) => Record<string, string>, RegExp]>([
    [
      'given twice',
      (env) => ({ ...env, BACKUP_ENCRYPTION_KEY: key }),
      /it is set, and so is BACKUP_ENCRYPTION_KEY_FILE/,
    ],
    [
      'missing',
      () => ({ BACKUP_ENCRYPTION_KEY_FILE: '/nowhere/key' }),
      /\/nowhere\/key cannot be read \(ENOENT\)/,
    ],
    ['a directory', () => ({ BACKUP_ENCRYPTION_KEY_FILE: '/' }), /cannot be read \(EISDIR\)/],
    ['empty', () => ({ BACKUP_ENCRYPTION_KEY_FILE: file('empty', '\n') }), /is empty/],
  ])('is refused when %s, once', (_, change, what) => {
    const env = change({ BACKUP_ENCRYPTION_KEY_FILE: file('key', key) })
    const { message } = problemOf({ ...env, BACKUP_ENCRYPTION: 'true' })
    expect(message).toMatch(what)
    expect(message).not.toContain('\n')
  })
})

describe('encryption', () => {
  it('without a key is refused with the way to make one', () => {
    expect(problemOf({ BACKUP_ENCRYPTION: 'true' })).toMatchObject({
      code: 'KEY_MISSING',
      hint: 'Make one with: npx --no securyflex-backup key generate',
    })
  })

  it('without a key is accepted where others seal', () => {
    expect(load({ BACKUP_ENCRYPTION: 'true' }, []).defaults.cipher).toBe('aes-256-gcm')
  })

  it('with a weak key is refused', () => {
    expect(problemOf({ BACKUP_ENCRYPTION: 'true', BACKUP_ENCRYPTION_KEY: 'short' })).toMatchObject({
      code: 'KEY_WEAK',
      exitStatus: 7,
      hint: 'Make one with: npx --no securyflex-backup key generate',
    })
  })

  it('that is not asked for although there is a key draws a warning', () => {
    expect(load({ BACKUP_ENCRYPTION_KEY: key }).warnings).toEqual([expect.stringContaining('not encrypted')])
    expect(load({ BACKUP_ENCRYPTION_KEY: key, BACKUP_ENCRYPTION: 'false' }).warnings).toEqual([])
  })
})

describe('certificates for Redis', () => {
  const certificates = () => makeCertificates(directory)
  const REDIS_URL = 'rediss://cache.example.com'

  it('are read from their files, and the key is a secret', () => {
    const { ca, client } = certificates()
    const env = { REDIS_TLS_CA: ca, REDIS_TLS_CERT: client.certificate, REDIS_TLS_KEY: client.key }
    const { redis } = load({ REDIS_URL, ...env })
    expect(redis?.tls?.ca).toBe(readFileSync(ca, 'utf8'))
    expect(redis?.tls?.client?.certificate).toContain('BEGIN CERTIFICATE')
    expect(redis?.tls?.client?.key.reveal()).toContain('PRIVATE KEY')
    expect(JSON.stringify(redis)).not.toContain('PRIVATE KEY')
  })

  it.each<[string, () => Record<string, string>, RegExp, string]>([
    [
      'a file that is not there',
      () => ({ REDIS_URL, REDIS_TLS_CA: 'no.pem' }),
      /no\.pem cannot be read \(ENOENT/,
      'path',
    ],
    [
      'a file that is something else',
      () => ({ REDIS_URL, REDIS_TLS_CA: file('ca', 'hello') }),
      /is no certificate in PEM form/,
      'REDIS_TLS_CA=/etc',
    ],
    [
      'a certificate in place of the key',
      () => {
        const { certificate } = certificates().client
        return { REDIS_URL, REDIS_TLS_CERT: certificate, REDIS_TLS_KEY: certificate }
      },
      /REDIS_TLS_KEY: .*is no private key/,
      'REDIS_TLS_KEY=/etc',
    ],
    [
      'a certificate without its key',
      () => ({ REDIS_URL, REDIS_TLS_CERT: certificates().client.certificate }),
      /REDIS_TLS_KEY: it is not set/,
      'both',
    ],
    [
      'an address without TLS',
      () => ({ REDIS_URL: 'redis://cache.example.com', REDIS_TLS_CA: certificates().ca }),
      /REDIS_URL: it begins with redis:\/\/, and REDIS_TLS_CA is for TLS/,
      'rediss://',
    ],
  ])('refuses %s', (_what, env, message, hint) => {
    const problem = problemOf(env())
    expect(problem.code).toBe('CONFIG_INVALID')
    expect(problem.message).toMatch(message)
    expect(problem.hint).toContain(hint)
  })
})

describe('what a command needs', () => {
  it.each<[Need, string]>([
    ['source', 'DATABASE_URL'],
    ['redis', 'REDIS_URL'],
  ])('%s: %s', (need, name) => {
    const { message, hint } = problemOf({}, [need])
    expect(message).toBe(`${name}: it is not set.`)
    expect(hint).toContain(`${name}=`)
  })

  it('is not missing when it is wrong', () => {
    expect(problemOf({ REDIS_URL: 'x' }, ['redis']).message).not.toContain('not set')
  })
})

describe('the source', () => {
  it('is the first one, or the one that is named', () => {
    const config = load({ DATABASE_URL: 'postgresql://localhost/shop' })
    expect(requireSource(config).name).toBe('shop')
    expect(requireSource(config, 'shop').name).toBe('shop')
  })

  it('that is unknown is answered with those there are', () => {
    const config = load({ DATABASE_URL: 'postgresql://localhost/x', BACKUP_SOURCE: 'shop' })
    expect(() => requireSource(config, 'nosuch')).toThrow(
      expect.objectContaining({ code: 'SOURCE_UNKNOWN', hint: 'Write one of: shop.' }),
    )
  })

  it('that is missing is answered with the variable to set', () => {
    expect(() => requireSource(load({}))).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', hint: expect.stringContaining('DATABASE_URL=') }),
    )
  })

  it('comes with the notices of its connection string', () => {
    const { warnings } = load({ DATABASE_URL: 'postgresql://db.example.com/x?schema=public' })
    expect(warnings).toEqual([
      expect.stringContaining('“schema” is dropped'),
      expect.stringContaining('unencrypted'),
    ])
  })
})

it('paths start at the working directory', () => {
  const { directory: backups, pgBinDirectory } = load({
    BACKUP_DIR: './a/../b',
    BACKUP_PG_BIN_DIR: '/opt/pg/bin',
  })
  expect(backups).toBe(join(directory.path, 'b'))
  expect(pgBinDirectory).toBe('/opt/pg/bin')
})
