import { writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import {
  type TemporaryDirectory,
  temporaryDirectory,
} from '../../../../../test/helpers/temporary-directory.ts'
import { loadConfig, settingsOf } from '../index.ts'

let directory: TemporaryDirectory
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => directory.remove())

const load = (yaml: string, env: Record<string, string> = {}) => {
  writeFileSync(directory.join('backup.config.yaml'), yaml)
  return loadConfig({ env: { HOME: directory.path, ...env }, directory: directory.path, needs: [] })
}

function linesOf(yaml: string, env: Record<string, string> = {}): string[] {
  try {
    load(yaml, env)
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const lines = error.message.split('\n').filter((line) => line.startsWith('  '))
    return lines.length > 0 ? lines.map((line) => line.trim()) : [`${error.message} ${error.hint ?? ''}`]
  }
  throw new Error('The file was accepted.')
}

const two = `
defaults:
  timeZone: Europe/Berlin
  retention: { days: 14 }
servers:
  main: { url: 'postgresql://backup@db.example.com:5433/postgres?sslmode=verify-full&sslrootcert=system', runs: 2 }
sources:
  shop:
    url: postgresql://ann@localhost/shop
    schedule: ['0 2 * * *', '@weekly']
    retention: { minimum: 5 }
    compression: { level: 9 }
    encryption: true
  crm:
    server: main
    database: customers
    schedule: false
    compression: none
    overlap: again
  fleet:
    server: main
    database: '*'
    exclude: { databases: [scratch*, "odd name"] }
`

describe('a configuration file', () => {
  it('describes several sources; each value comes from the source, the defaults, the environment, or is built in', () => {
    const config = load(two, {
      BACKUP_RETENTION_DAYS: '7',
      BACKUP_FINGERPRINT: 'checksums',
      BACKUP_CRON: '0 4 * * *',
    })
    expect(config.sources).toMatchObject([
      {
        name: 'shop',
        server: 'localhost:5432',
        schedules: [
          { cron: '0 2 * * *', timeZone: 'Europe/Berlin' },
          { cron: '@weekly', timeZone: 'Europe/Berlin' },
        ],
        retention: { days: 14, minimum: 5 },
        compression: { algorithm: 'zstd', level: 9 },
        cipher: 'aes-256-gcm',
        fingerprint: 'checksums',
        overlap: 'skip',
      },
      {
        name: 'crm',
        server: 'main',
        connection: { database: 'customers', hosts: [{ host: 'db.example.com', port: 5433 }] },
        schedules: [],
        compression: { algorithm: 'none', level: 0 },
        cipher: 'none',
        overlap: 'again',
      },
    ])
    expect(config.groups).toMatchObject([
      {
        name: 'fleet',
        server: 'main',
        connection: { database: 'postgres' },
        withoutDatabases: ['scratch*', '"odd name"'].map((text) => text.replaceAll('"', '')),
        schedules: [{ cron: '0 4 * * *', timeZone: 'Europe/Berlin' }],
      },
    ])
    expect(config.limits).toEqual({ servers: { main: 2 }, runs: undefined })
    expect(settingsOf(config, 'gone').retention.days).toBe(14)
    expect(settingsOf(config, 'fleet-crm')).toBe(config.groups[0])
  })

  it('takes the rules of retention together: a source that names one names all, and inherits the minimum', () => {
    const yaml = `
defaults: { retention: { days: 14, weekly: 4, minimum: 2 } }
sources:
  shop: { url: 'postgresql://localhost/shop', retention: { daily: 7, yearly: 3 } }
  crm: { url: 'postgresql://localhost/crm', retention: { minimum: 9 } }
`
    const env = { BACKUP_RETENTION_LAST: '5', BACKUP_RETENTION_MINIMUM: '8' }
    const { sources, requested } = load(yaml, env)
    expect(sources.map(({ retention }) => retention)).toEqual([
      { daily: 7, yearly: 3, minimum: 2 },
      { days: 14, weekly: 4, minimum: 9 },
    ])
    // What a process asks for must not shorten what the file says.
    expect(requested).toEqual({})
  })

  it('stands beside DATABASE_URL, whose source must have another name', () => {
    const env = { DATABASE_URL: 'postgresql://localhost/wiki' }
    expect(load(two, env).sources.map(({ name }) => name)).toEqual(['wiki', 'shop', 'crm'])
    expect(linesOf(two, { ...env, BACKUP_SOURCE: 'crm' })[0]).toMatch(
      /^backup\.config\.yaml:15 sources\.crm: DATABASE_URL/,
    )
  })

  it('takes secrets from the environment and from files, and shows none', () => {
    writeFileSync(directory.join('secret'), 'postgresql://ann:planted1@localhost/a\n')
    const yaml =
      'sources:\n  a: { url: "${A_URL}" }\n  b: { url: "postgresql://bob:${B}@localhost/b" }\n  c: { url: "${A_URL_FILE}" }\n'
    const config = load(yaml, { A_URL_FILE: 'secret', B: 'planted2' })
    expect(config.sources.map(({ connection }) => connection.password?.reveal())).toEqual([
      'planted1',
      'planted2',
      'planted1',
    ])
    expect(JSON.stringify(config)).not.toContain('planted')
  })

  it('in which “${” is meant is written $${', () => {
    const yaml = 'sources:\n  a: { url: "postgresql://ann:$${x}@localhost/a" }\n'
    expect(load(yaml).sources[0]?.connection.password?.reveal()).toBe('${x}')
  })

  it('is the one that BACKUP_CONFIG names, and that one must exist', () => {
    writeFileSync(directory.join('other.yaml'), 'sources: { wiki: { url: "postgresql://localhost/wiki" } }')
    expect(load(two, { BACKUP_CONFIG: 'other.yaml' }).sources.map(({ name }) => name)).toEqual(['wiki'])
    expect(linesOf(two, { BACKUP_CONFIG: 'none.yaml' })[0]).toMatch(
      /^BACKUP_CONFIG: .*none\.yaml cannot be read \(ENOENT\)\./,
    )
  })

  it('may say nothing yet, but is not empty: that is what a full disk leaves of it', () => {
    expect(load('# nothing yet\n').sources).toEqual([])
    for (const empty of ['', '\n']) {
      expect(linesOf(empty)).toEqual([
        'backup.config.yaml:1: the file is empty. Write for example sources: { shop: { url: postgresql://backup@db.example.com:5432/shop } }, or remove the file.',
      ])
    }
  })

  it('may refer to one value from each source of a large fleet', () => {
    const sources = Array.from(
      { length: 150 },
      (_, index) => `  s${String(index)}: { url: postgresql://h/d, retention: *kept }\n`,
    )
    const config = load(`defaults: { retention: &kept { days: 90 } }\nsources:\n${sources.join('')}`)
    expect(config.sources.map(({ retention }) => retention.days)).toEqual(sources.map(() => 90))
  })

  it('may call things what JavaScript calls its own', () => {
    const yaml =
      'servers: { constructor: { url: postgresql://h/d } }\nsources:\n  toString: { server: constructor, database: d }\n'
    expect(load(yaml).sources).toMatchObject([{ name: 'toString', server: 'constructor' }])
  })

  it('asks for a key where one source is encrypted', () => {
    writeFileSync(directory.join('backup.config.yaml'), two)
    const env = { HOME: directory.path }
    expect(() => loadConfig({ env, directory: directory.path })).toThrow(
      expect.objectContaining({
        code: 'KEY_MISSING',
        message: expect.stringContaining('the configuration asks for encryption'),
      }),
    )
  })
})

describe('what is wrong in a configuration file is named with file and line, what is wrong, and what is right', () => {
  it.each<[string, string, RegExp]>([
    [
      'an unknown setting',
      'defaults:\n  retenton: {}\n',
      /^backup\.config\.yaml:2 defaults\.retenton: there is no such setting\. The nearest known is retention;/,
    ],
    [
      'one deep below',
      'sources:\n  a:\n    url: postgresql://h/d\n    retention:\n      dais: 3\n',
      /^backup\.config\.yaml:5 sources\.a\.retention\.dais: .*nearest known is days/,
    ],
    [
      'a cron',
      'defaults:\n  schedule:\n    - "@daily"\n    - 61 * * * *\n',
      /^backup\.config\.yaml:4 defaults\.schedule\.1: the minute “61” .*\. Write for example "0 2 \* \* \*"\.$/,
    ],
    [
      'a zone',
      'defaults:\n  timeZone: Europe/Amsterdm\n',
      /^backup\.config\.yaml:2 defaults\.timeZone: .*the nearest is Europe\/Amsterdam\./,
    ],
    [
      'a number',
      'defaults: { retention: { days: many } }\n',
      /^backup\.config\.yaml:1 defaults\.retention\.days: “many” is not a whole number/,
    ],
    ['a value for a map', 'sources:\n  a: 5\n', /^backup\.config\.yaml:2 sources\.a: it has to be a map/],
    [
      'a name',
      'sources:\n  a b: { url: postgresql://h/d }\n',
      /^backup\.config\.yaml:2 sources\.a b: the name is not one of/,
    ],
    [
      'no place',
      'sources:\n  a:\n    schedule: "@daily"\n',
      /^backup\.config\.yaml:\d sources\.a: it says nothing of where the database is\. Write url/,
    ],
    [
      'two places',
      'servers: { m: { url: postgresql://h/d } }\nsources:\n  a: { url: postgresql://h/d, server: m }\n',
      /^backup\.config\.yaml:3 sources\.a\.server: it has a url already/,
    ],
    [
      'an unknown server',
      'servers: { main: { url: postgresql://h/d } }\nsources:\n  a: { server: mian, database: d }\n',
      /^backup\.config\.yaml:3 sources\.a\.server: there is no server “mian”\. The nearest is main\./,
    ],
    [
      'a name that a database of a group could have',
      'servers: { m: { url: postgresql://h/d } }\nsources:\n  a: { server: m, database: "*" }\n  a-b: { url: postgresql://h/d }\n',
      /^backup\.config\.yaml:3 sources\.a: “a-b” begins with “a-”/,
    ],
    [
      'a long name of a group',
      `servers: { m: { url: postgresql://h/d } }\nsources:\n  ${'a'.repeat(41)}: { server: m, database: "*" }\n`,
      /the name of a group has at most 40 characters/,
    ],
    [
      'no database',
      'servers: { main: { url: postgresql://h/d } }\nsources:\n  a: { server: main }\n',
      /sources\.a: it does not say which database/,
    ],
    [
      'an unknown destination',
      'sources:\n  a:\n    url: postgresql://h/d\n    destinations: [lokal]\n',
      /^backup\.config\.yaml:4 sources\.a\.destinations\.0: there is no destination “lokal”\..*nearest known is local/,
    ],
    [
      'a missing webhook',
      'defaults: { notify: [log, webhook] }\n',
      /^backup\.config\.yaml:1 defaults\.notify: there is no webhook\. Set BACKUP_WEBHOOK_URL\./,
    ],
    [
      'a missing variable',
      'sources:\n  a:\n    url: ${NOPE}\n',
      /^backup\.config\.yaml:3 sources\.a\.url: the variable NOPE is not set\./,
    ],
    [
      'a connection string',
      'sources:\n  a:\n    url: mysql://h/d\n',
      /^backup\.config\.yaml:3 sources\.a\.url: The connection string/,
    ],
    [
      'an alias of nothing',
      'sources:\n  a:\n    url: postgresql://h/d\n    exclude: { tables: *scratch }\n',
      /^backup\.config\.yaml:4 sources\.a\.exclude\.tables: “\*scratch” stands for what is marked “&scratch”, and nothing before it is\. .*: "\*scratch"\.$/,
    ],
    [
      'an alias of what it is in',
      'defaults: &all\n  schedule: [*all]\n',
      /^backup\.config\.yaml:2 defaults\.schedule\.0: “\*all” stands for what it is in itself\./,
    ],
    [
      'a level that gzip has not',
      'sources:\n  a:\n    url: postgresql://h/d\n    compression:\n      algorithm: gzip\n      level: 15\n',
      /^backup\.config\.yaml:6 sources\.a\.compression\.level: gzip’s levels are 1 to 9\. Write for example level: 6\.$/,
    ],
    [
      'one below defaults of gzip',
      'defaults: { compression: gzip }\nsources:\n  a:\n    url: postgresql://h/d\n    compression: { level: 15 }\n',
      /^backup\.config\.yaml:5 sources\.a\.compression\.level: gzip’s levels are 1 to 9\./,
    ],
    [
      'a name that JavaScript keeps for itself',
      'sources:\n  a: { url: postgresql://h/d }\n  __proto__: { url: postgresql://h/d }\n',
      /^backup\.config\.yaml:3 sources\.__proto__: the name “__proto__” is not possible\. Write for example shop\.$/,
    ],
    [
      'a server that is one of JavaScript’s words',
      'sources:\n  a: { server: constructor, database: d }\n',
      /^backup\.config\.yaml:2 sources\.a\.server: there is no server “constructor”\. Describe it under servers\.$/,
    ],
    ['broken YAML', 'sources:\n  a: [\n', /^backup\.config\.yaml:\d+: .*Correct the line/],
    [
      'a name twice',
      'sources:\n  a: { url: postgresql://h/d }\n  a: { url: postgresql://h/d }\n',
      /^backup\.config\.yaml:3: .*unique/,
    ],
  ])('%s', (_, yaml, expected) => {
    const lines = linesOf(yaml)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(expected)
  })

  it.each<[string, Record<string, string>, RegExp]>([
    ['schedule: ${X}', { X: 'planted-word' }, /schedule\.0: “\$\{X\}” has 1 field,/],
    [
      'schedule: ["0 2 * * *", "${X}"]',
      { X: 'planted 2 * * *' },
      /the minute “…” of “\$\{X\}” is not possible/,
    ],
    ['schedule: "0 ${X} * * *"', { X: 'planted' }, /the hour “\$\{X\}” of “0 \$\{X\} \* \* \*” is not/],
    [
      'overlap: &x ${X}',
      { X: 'Planted' },
      /overlap: “\$\{X\}” is none of skip, again; the nearest is again\./,
    ],
    ['timeZone: ${X}', { X: 'pla“nted”' }, /timeZone: what \$\{X\} gives is not possible here\. Write for/],
    ['retention: { days: "${X}" }', { X_FILE: 'x' }, /“\$\{X\}” is not a whole number from 1 to 36500\./],
    ['destinations: "${X}"', { X: 'planted' }, /there is no destination “\$\{X\}”\./],
    ['include: &i { tables: "${X}" }\n  exclude: *i', { X: 'a planted one' }, /“\$\{X\}” is not a pattern/],
  ])('but what a variable gives is not repeated, since it may be a secret: %s', (line, env, says) => {
    writeFileSync(directory.join('x'), 'planted\n')
    const told = linesOf(`defaults:\n  ${line}\n`, {
      ...env,
      ...(env['X_FILE'] ? { X_FILE: 'x' } : {}),
    }).join()
    expect(told).toMatch(says)
    expect(told).not.toMatch(/pla“?nted/i)
  })

  it('also in a connection string and in a name: ${…} in a name stays what it is', () => {
    const url = 'sources:\n  a: { url: "service=${X}" }\n  ${X}: { url: postgresql://h/d }\n'
    const told = linesOf(url, { X: 'planted', PGSERVICEFILE: '/dev/null' }).join()
    expect(told).toMatch(/sources\.\$\{X\}: the name is not one of/)
    expect(told).not.toContain('planted')
    const alone = linesOf('sources:\n  a: { url: "service=${X}" }\n', { X: 'planted' }).join()
    expect(alone).toMatch(/sources\.a\.url: .*“\$\{X\}”/)
    expect(alone).not.toContain('planted')
  })

  it('all at once, and a secret in none of them', () => {
    const yaml =
      'defaults: { overlap: maybe, fingerprint: all }\nsources:\n  a:\n    url: postgresql://ann:planted@h:port/d\n'
    const lines = linesOf(yaml)
    expect(lines).toHaveLength(2)
    expect(linesOf('sources:\n  a:\n    url: postgresql://ann:planted@h:port/d\n').join()).not.toContain(
      'planted',
    )
  })
})
