import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { BackupError, describe as told, redact } from '@securyflex/shared/errors'
import fc from 'fast-check'
import {
  type TemporaryDirectory,
  temporaryDirectory,
} from '../../../../../test/helpers/temporary-directory.ts'
import { parseConnection } from './parse.ts'

let directory: TemporaryDirectory
const env = () => ({ HOME: directory.join('home') })

beforeAll(async () => {
  directory = await temporaryDirectory()
  mkdirSync(directory.join('home'))
})
afterAll(() => directory.remove())

function refusalOf(text: string, more: Record<string, string> = {}): string {
  try {
    parseConnection(text, { ...env(), ...more })
  } catch (error) {
    if (error instanceof BackupError) return told(error)
    throw error
  }
  return 'accepted'
}

describe('a password that is not percent-encoded', () => {
  it.each([
    ['postgresql://ann:p@ss@db/shop', '“@” as %40'],
    ['postgresql://ann:p@@db/shop', '“@” as %40'],
    ['postgresql://ann:p@ss/word@db/shop', '“@” as %40, “/” as %2F'],
    ['postgresql://ann:pa/ss@db/shop', '“/” as %2F'],
    ['postgresql://ann:12/34@db:5432/shop', '“/” as %2F'],
    ['postgresql://ann:p#a/ss@db/shop', '“#” as %23, “/” as %2F'],
    ['postgresql://ann:p/a?x=y@db/shop', '“/” as %2F, “?” as %3F'],
    ['postgresql://ann@server:pass@db/shop', '“@” as %40'],
    ['postgresql://ann:100%@db/shop', '%25'],
  ])('is found in %s', (text, advice) => {
    const said = refusalOf(text)
    expect(said).toContain(advice)
    expect(said).not.toMatch(/\bdb\b|34|ann|ss@/)
  })

  it('is accepted with “#”, as libpq does, with a notice', () => {
    const { connection, notices } = parseConnection('postgresql://ann:p#q@localhost/shop', env())
    expect(connection.password?.reveal()).toBe('p#q')
    expect(notices).toEqual([expect.stringContaining('%23')])
  })

  it('is not seen in an @ of a parameter', () => {
    const text = 'postgresql://localhost:1/shop?application_name=a@b'
    expect(parseConnection(text, env()).connection.parameters).toEqual({ application_name: 'a@b' })
  })
})

describe('what is refused', () => {
  it.each([
    ['shop', 'Write it like postgresql://backup@'],
    ['', 'Write it like postgresql://backup@'],
    ['mysql://ann@db/shop', 'Write it like postgresql://backup@'],
    ['jdbc:postgresql://db/shop', 'Let it begin with postgresql://'],
    ['postgresql+psycopg2://db/shop', 'Let it begin with postgresql://'],
    ['postgresql://db/shop?aplication_name=x', 'the nearest known is application_name'],
    ['postgresql://db/shop?ssl=1', 'sslmode=require'],
    ['postgresql://db/shop?sslmode=verify_full', 'the nearest is verify-full'],
    ['postgresql://db/shop?sslmode=verify-full', 'sslrootcert=system'],
    ['postgresql://db/shop?sslmode=require&sslrootcert=system', 'sslmode=verify-full'],
    ['postgresql://db/shop?sslrootcert=/nowhere/ca.crt&sslmode=require', '/nowhere/ca.crt for sslrootcert'],
    ['postgresql://db/shop?sslcert=/nowhere/me.crt', '/nowhere/me.crt for sslcert'],
    ['postgresql://db:0/shop', 'port'],
    ['postgresql://a,b,c/shop?port=1,2', '3 hosts and 2 ports'],
    ['host=db hostaddr=127.0.0.1', 'hostaddr'],
    ['host=@abstract', 'Abstract'],
    ['postgresql://ann:%FF@db/shop', 'UTF-8'],
    ['host=db password=two words', 'single quotes'],
  ])('%s', (text, advice) => {
    expect(refusalOf(text)).toContain(advice)
  })

  it.each(['host=db password=hidden-part second-part', 'host=db password=hidden-part second-part=x'])(
    'does not repeat what may be a part of a password: %s',
    (text) => {
      expect(refusalOf(text)).not.toMatch(/hidden-part|second-part/)
    },
  )

  it('says where a service file is wrong', () => {
    writeFileSync(directory.join('services'), '[shop]\nhost = db\n')
    expect(refusalOf('service=shop', { PGSERVICEFILE: directory.join('services') })).toContain('Line 2')
  })

  it('is several hosts with a password each in the password file', () => {
    writeFileSync(directory.join('passwords'), 'a:*:*:*:one\nb:*:*:*:two\n', { mode: 0o600 })
    expect(refusalOf('host=a,b', { PGPASSFILE: directory.join('passwords') })).toContain('Name one host')
  })
})

describe('parameters', () => {
  it('of applications are dropped with a notice', () => {
    const text =
      'postgresql://ann@localhost/shop?schema=public&connection_limit=5&pgbouncer=true&connect_timeout=3'
    const { connection, notices } = parseConnection(text, env())
    expect(connection.parameters).toEqual({ connect_timeout: '3' })
    expect(notices.map((notice) => /“(.*)”/.exec(notice)?.[1])).toEqual([
      'schema',
      'connection_limit',
      'pgbouncer',
    ])
  })

  it('of libpq are kept', () => {
    const text = 'host=localhost target_session_attrs=read-write keepalives_idle=30 sslnegotiation=direct'
    expect(parseConnection(text, env()).connection.parameters).toEqual({
      target_session_attrs: 'read-write',
      keepalives_idle: '30',
      sslnegotiation: 'direct',
    })
  })

  it('of JDBC’s kind, ssl=true, mean sslmode=require', () => {
    expect(parseConnection('postgresql://db/shop?ssl=true', env()).connection.ssl).toEqual({
      mode: 'require',
    })
  })
})

describe('encryption', () => {
  const remote = 'postgresql://ann@db.example.com/shop'

  it.each(['', '?sslmode=disable', '?sslmode=allow', '?sslmode=prefer'])(
    'warns of a remote server with “%s”',
    (mode) => {
      expect(parseConnection(remote + mode, env()).notices).toEqual([
        expect.stringContaining('db.example.com'),
      ])
    },
  )

  it.each([
    'postgresql://db.example.com/shop?sslmode=require',
    'postgresql://localhost/shop',
    'postgresql://127.0.0.1/shop',
    'postgresql://[::1]/shop',
    'postgresql:///shop?host=/tmp',
  ])('does not warn of %s', (text) => {
    expect(parseConnection(text, env()).notices).toEqual([])
  })

  it('is not spoken on a Unix socket', () => {
    expect(parseConnection('host=/tmp sslmode=require', env()).connection.ssl).toEqual({ mode: 'disable' })
  })

  it('trusts the operating system’s authorities with sslrootcert=system, and then verifies by default', () => {
    const { ssl } = parseConnection('host=db sslrootcert=system', env()).connection
    expect(ssl).toEqual({ mode: 'verify-full', rootCertificate: 'system' })
  })

  it('takes the files of ~/.postgresql: a root certificate turns require into verify-ca', async () => {
    await using home = await temporaryDirectory()
    const file = (name: string) => home.join('.postgresql', name)
    mkdirSync(home.join('.postgresql'))
    writeFileSync(file('root.crt'), '')
    writeFileSync(file('postgresql.crt'), '')
    const parse = (text: string) => parseConnection(text, { HOME: home.path }).connection.ssl
    expect(() => parse('host=db')).toThrow(/postgresql\.key for sslkey/)
    writeFileSync(file('postgresql.key'), '', { mode: 0o600 })
    const files = {
      rootCertificate: file('root.crt'),
      certificate: file('postgresql.crt'),
      key: file('postgresql.key'),
    }
    expect(parse('host=db sslmode=require')).toEqual({ mode: 'verify-ca', ...files })
    expect(parse('host=db sslmode=verify-full')).toEqual({ mode: 'verify-full', ...files })
    expect(parse('host=db')).toEqual({ mode: 'prefer', ...files })
    expect(parse('host=db sslpassword=pw').keyPassword?.reveal()).toBe('pw')
    chmodSync(file('postgresql.key'), 0o644)
    expect(() => parse('host=db')).toThrow('may be read by others')
  })
})

describe('what is shown', () => {
  it.each([
    ['postgresql://ann:pw@db/shop', 'postgresql://ann@db:5432/shop'],
    ['host=::1 user=ann dbname=shop', 'postgresql://ann@[::1]:5432/shop'],
    ['host=a,b port=1,2 user=ann dbname=shop', 'postgresql://ann@a:1,b:2/shop'],
    ['host=/run/pg port=5433 user=ann dbname=shop', 'postgresql://ann@/shop?host=/run/pg&port=5433'],
    ['host=db user=a@b dbname=x/y', 'postgresql://a%40b@db:5432/x%2Fy'],
  ])('of %s is %s', (text, shown) => {
    expect(parseConnection(text, env()).connection.shown).toBe(shown)
  })

  it('leads to the same place, and has no password', () => {
    const word = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => !text.includes('\0'))
    const host = fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom('/tmp', '/var/run/a b', '/x?y&z=%'),
    )
    const hosts = fc.array(fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) }), {
      minLength: 1,
      maxLength: 3,
    })
    const quote = (text: string) => `'${text.replaceAll(/['\\]/g, '\\$&')}'`
    fc.assert(
      fc.property(hosts, word, word, fc.string({ minLength: 12 }), (places, user, database, password) => {
        fc.pre(!password.includes('\0') && !`${user} ${database}`.includes(password))
        const list = (name: 'host' | 'port') => quote(places.map((place) => place[name]).join(','))
        const text = `host=${list('host')} port=${list('port')} user=${quote(user)} dbname=${quote(database)} password=${quote(password)}`
        const { connection } = parseConnection(text, env())
        expect(connection).toMatchObject({ hosts: places, user, database })
        expect(connection.password?.reveal()).toBe(password)
        const again = parseConnection(connection.shown, env()).connection
        expect(again).toMatchObject({ hosts: places, user, database, password: undefined })
      }),
    )
  })
})

describe('a password', () => {
  it('is removed from every text', () => {
    parseConnection('postgresql://ann:an-odd-one@127.0.0.1/books', env())
    expect(redact('it was an-odd-one')).toBe('it was [secret]')
  })

  it('that is the name of the user or of the database leaves these names readable', () => {
    const { connection } = parseConnection('postgresql://anna_reader:anna_reader@127.0.0.1/books', env())
    parseConnection('postgresql://ann:library_books@127.0.0.1/library_books', env())
    expect(redact('GRANT pg_read_all_data TO anna_reader;')).toBe('GRANT pg_read_all_data TO anna_reader;')
    expect(redact('the database "library_books"')).toBe('the database "library_books"')
    expect(redact('postgresql://anna_reader:anna_reader@127.0.0.1/')).not.toContain(':anna_reader')
    expect(String(connection.password)).toBe('[secret]')
  })
})
