import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Connection, Ssl } from '@securyflex/shared/config'
import { BackupError, Secret } from '@securyflex/shared/errors'
import { openConnection, sameServer } from './connect.ts'
import { libpqEnvironment } from './environment.ts'
import { startTool } from './tool.ts'
import { findTools } from './tools.ts'
import { rejection, testServer, until } from './test-server.ts'

const authority = await mkdtemp(join(tmpdir(), 'ca-'))
const certificate = join(authority, 'server.crt')
const key = join(authority, 'server.key')
const stranger = join(authority, 'stranger.crt')
selfSigned(certificate, key)
selfSigned(stranger, join(authority, 'stranger.key'))

const secured = testServer({ beforeAll, afterAll }, { listen: 'loopback' })
const plain = testServer({ beforeAll, afterAll }, { listen: 'loopback' })

afterAll(() => rm(authority, { recursive: true }))

/** Valid for 127.0.0.1 and no other name. */
function selfSigned(certificateFile: string, keyFile: string): void {
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1']
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync('openssl', [...request, ...names, '-keyout', keyFile, '-out', certificateFile], {
    stdio: 'ignore',
  })
}

async function errorOf(connection: Connection, signal?: AbortSignal): Promise<BackupError> {
  const options = { applicationName: 'test', ...(signal === undefined ? {} : { signal }) }
  const error = await rejection(openConnection(connection, options))
  expect(error).toBeInstanceOf(BackupError)
  return error as BackupError
}

function at(port: number, host = '127.0.0.1'): Connection {
  return { ...plain.connection(), hosts: [{ host, port }] }
}

async function listening(answer: (socket: Socket) => void): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    answer(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { port: (server.address() as AddressInfo).port, close }
}

describe('openConnection', () => {
  it('names an unknown host', async () => {
    const error = await errorOf(at(5432, 'no-such-host.invalid'))
    expect(error.code).toBe('DATABASE_UNREACHABLE')
    expect(error.message).toMatch(/host "no-such-host\.invalid"/)
    expect(error.hint).toMatch(/DATABASE_URL/)
  })

  it('says that a connection was refused', async () => {
    const { port, close } = await listening(() => undefined)
    close()
    const error = await errorOf(at(port))
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', class: 'transient' })
    expect(error.message).toBe(`Nothing answers at 127.0.0.1:${port}: the connection was refused.`)
  })

  it('gives up on a server that accepts and says nothing', async () => {
    const { port, close } = await listening(() => undefined)
    const error = await errorOf({ ...at(port), parameters: { connect_timeout: '1' } })
    close()
    expect(error.code).toBe('DATABASE_UNREACHABLE')
    expect(error.message).toMatch(/did not answer in time/)
  })

  it('names a socket that is not there', async () => {
    const error = await errorOf(at(5432, '/nowhere'))
    expect(error.message).toBe('The socket /nowhere/.s.PGSQL.5432 does not exist.')
  })

  it('tells a wrong password without showing it', async () => {
    const error = await errorOf({ ...plain.connection(), password: new Secret('wrong-horse') })
    expect(error).toMatchObject({ code: 'DATABASE_REFUSED', class: 'permanent', exitStatus: 4 })
    expect(error.message).toMatch(/refused the password of user "postgres"/)
    expect(`${error.message} ${error.hint ?? ''}`).not.toContain('wrong-horse')
  })

  it('says when a password is needed and none is set, and looks into no environment for one', async () => {
    process.env['PGPASSWORD'] = 'from-the-environment'
    const error = await errorOf({ ...plain.connection(), password: undefined })
    delete process.env['PGPASSWORD']
    expect(error.message).toMatch(/asks for the password of user "postgres", and none is set/)
  })

  it('names a database that is not there', async () => {
    const error = await errorOf(plain.connection('shpo'))
    expect(error.code).toBe('DATABASE_REFUSED')
    expect(error.message).toMatch(/has no database "shpo"/)
    expect(error.hint).toMatch(/psql -l/)
  })

  it('explains a role that pg_hba.conf keeps out', async () => {
    await plain.run('CREATE ROLE outsider LOGIN')
    const rules = join(plain.server.dataDirectory, 'pg_hba.conf')
    await writeFile(rules, `host all outsider all reject\n${await readFile(rules, 'utf8')}`)
    await plain.run('SELECT pg_reload_conf()')
    const outsider = { ...plain.connection(), user: 'outsider' }
    await until(async () => (await errorOf(outsider)).message.includes('does not let user "outsider" in'))
    const error = await errorOf(outsider)
    expect(error).toMatchObject({ code: 'DATABASE_REFUSED' })
    expect(error.hint).toMatch(/pg_hba\.conf/)
  })

  it('counts too many connections as something that passes', async () => {
    await plain.run(`CREATE ROLE crowded LOGIN PASSWORD 'crowded' CONNECTION LIMIT 0`)
    const error = await errorOf({ ...plain.connection(), user: 'crowded', password: new Secret('crowded') })
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', class: 'transient' })
    expect(error.message).toMatch(/too many connections/)
  })

  it('counts a server that is starting as something that passes (a fake server)', async () => {
    const body = 'SFATAL\0C57P03\0Mthe database system is starting up\0\0'
    const length = Buffer.alloc(4)
    length.writeUInt32BE(body.length + 4)
    const { port, close } = await listening((socket) => {
      socket.once('data', () => socket.end(Buffer.concat([Buffer.from('E'), length, Buffer.from(body)])))
    })
    const error = await errorOf(at(port))
    close()
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', class: 'transient' })
    expect(error.message).toMatch(/does not take connections now/)
  })

  it('takes the first of several hosts that answers, and narrows to it', async () => {
    const { port, close } = await listening(() => undefined)
    close()
    const hosts = [{ host: '127.0.0.1', port }, ...plain.connection().hosts]
    const client = await plain.open({ ...plain.connection(), hosts })
    expect(sameServer({ ...plain.connection(), hosts }, client).hosts).toEqual(plain.connection().hosts)
  })

  it('refuses a primary when a standby is asked for, and takes it when one is only preferred', async () => {
    const wanting = (attributes: string): Connection => ({
      ...plain.connection(),
      parameters: { target_session_attrs: attributes },
    })
    for (const attributes of ['standby', 'read-only']) {
      expect((await errorOf(wanting(attributes))).message).toMatch(`is not ${attributes}`)
    }
    for (const attributes of ['any', 'primary', 'read-write', 'prefer-standby']) {
      await plain.open(wanting(attributes))
    }
  })

  it('is cut by its signal, with the reason that was given', async () => {
    const controller = new AbortController()
    const client = await openConnection(plain.connection(), {
      applicationName: 'cut',
      signal: controller.signal,
    })
    const sleeping = rejection(client.query('SELECT pg_sleep(60)'))
    controller.abort(new BackupError('CANCELLED', 'The run was cancelled.'))
    expect(await sleeping).toBeInstanceOf(Error)
    expect((await errorOf(plain.connection(), controller.signal)).message).toBe('The run was cancelled.')
  })

  it('shows the name of its application', async () => {
    const client = await openConnection(plain.connection(), { applicationName: 'securyflex-backup test' })
    const { rows } = await client.query<{ name: string }>(
      `SELECT current_setting('application_name') AS name`,
    )
    await client.end()
    expect(rows).toEqual([{ name: 'securyflex-backup test' }])
  })
})

describe('sslmode', () => {
  async function switchTlsOn(): Promise<void> {
    const { uid, gid } = await stat(secured.server.dataDirectory)
    for (const file of [certificate, key]) {
      execFileSync('cp', [file, secured.server.dataDirectory])
      execFileSync('chown', [
        `${uid}:${gid}`,
        join(secured.server.dataDirectory, file.split('/').at(-1) ?? ''),
      ])
    }
    await secured.run('ALTER SYSTEM SET ssl = on')
    await secured.run('SELECT pg_reload_conf()')
    await until(async () => (await encrypted({ mode: 'prefer' })) === true)
  }

  function withSsl(ssl: Ssl, host = '127.0.0.1', server = secured): Connection {
    const [first] = server.connection().hosts
    return { ...server.connection(), ssl, hosts: [{ host, port: first?.port ?? 0 }] }
  }

  async function encrypted(ssl: Ssl, host?: string): Promise<boolean | undefined> {
    const client = await openConnection(withSsl(ssl, host), { applicationName: 'test' })
    const { rows } = await client.query<{ ssl: boolean }>(
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    )
    await client.end()
    return rows[0]?.ssl
  }

  /** What psql, that is libpq, makes of the same connection. */
  async function libpqEncrypted(ssl: Ssl, host?: string): Promise<boolean | 'refused'> {
    const { psql } = await findTools(secured.server.major)
    const tool = startTool(psql, ['-XAtc', 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'], {
      env: libpqEnvironment(withSsl(ssl, host)),
    })
    let output = ''
    try {
      for await (const chunk of tool.stdout) output += String(chunk)
    } catch {
      return 'refused'
    }
    return output.trim() === 't'
  }

  it('means the same to node-postgres and to libpq', async () => {
    await switchTlsOn()
    const cases: [Ssl, string, boolean | 'refused'][] = [
      [{ mode: 'disable' }, '127.0.0.1', false],
      [{ mode: 'allow' }, '127.0.0.1', false],
      [{ mode: 'prefer' }, '127.0.0.1', true],
      [{ mode: 'require' }, '127.0.0.1', true],
      [{ mode: 'verify-ca', rootCertificate: certificate }, '127.0.0.1', true],
      [{ mode: 'verify-ca', rootCertificate: certificate }, 'localhost', true],
      [{ mode: 'verify-full', rootCertificate: certificate }, '127.0.0.1', true],
      [{ mode: 'verify-full', rootCertificate: certificate }, 'localhost', 'refused'],
      [{ mode: 'verify-ca', rootCertificate: stranger }, '127.0.0.1', 'refused'],
    ]
    for (const [ssl, host, expected] of cases) {
      const ours = await encrypted(ssl, host).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'DATABASE_REFUSED' })
        return 'refused'
      })
      expect([ssl.mode, host, ours, await libpqEncrypted(ssl, host)]).toEqual([
        ssl.mode,
        host,
        expected,
        expected,
      ])
    }
  })

  it('says when the server has no TLS, and goes without where that is allowed', async () => {
    const error = await errorOf(withSsl({ mode: 'require' }, '127.0.0.1', plain))
    expect(error).toMatchObject({ code: 'DATABASE_REFUSED' })
    expect(error.message).toMatch(/does not offer TLS/)
    await plain.open(withSsl({ mode: 'prefer' }, '127.0.0.1', plain))
  })

  it('says which certificate is not trusted and which file cannot be read', async () => {
    const untrusted = await errorOf(withSsl({ mode: 'verify-full', rootCertificate: stranger }))
    expect(untrusted.message).toMatch(/not signed by an authority/)
    expect(untrusted.hint).toMatch(/sslrootcert=/)
    const missing = await errorOf(withSsl({ mode: 'verify-full', rootCertificate: '/nowhere/ca.pem' }))
    expect(missing.message).toBe('The certificate file /nowhere/ca.pem cannot be read (ENOENT).')
  })
})

describe('libpqEnvironment', () => {
  it('lists every host, names nothing else of this process, and keeps the password out of arguments', () => {
    const environment = libpqEnvironment({
      hosts: [
        { host: 'a', port: 1 },
        { host: '/run', port: 2 },
      ],
      database: 'shop',
      user: 'u',
      password: new Secret('p4ssw0rd'),
      ssl: { mode: 'verify-full', rootCertificate: '/ca.pem', certificate: '/c.crt', key: '/c.key' },
      parameters: { connect_timeout: '3', options: '-c x=y', keepalives: '1' },
      shown: '',
    })
    expect(environment).toMatchObject({
      PGHOST: 'a,/run',
      PGPORT: '1,2',
      PGDATABASE: 'shop',
      PGUSER: 'u',
      PGPASSWORD: 'p4ssw0rd',
      PGSSLMODE: 'verify-full',
      PGSSLROOTCERT: '/ca.pem',
      PGSSLCERT: '/c.crt',
      PGSSLKEY: '/c.key',
      PGCONNECT_TIMEOUT: '3',
      PGOPTIONS: '-c x=y',
    })
    expect(
      Object.keys(environment)
        .filter((name) => !name.startsWith('PG'))
        .sort(),
    ).toEqual(['HOME', 'LC_MESSAGES', 'PATH', 'TMPDIR'])
  })

  it('refuses a client key with a password, with the line that takes it off', () => {
    const ssl: Ssl = {
      mode: 'require',
      certificate: '/c.crt',
      key: '/c.key',
      keyPassword: new Secret('hidden'),
    }
    expect(() => libpqEnvironment({ ...plain.connection(), ssl })).toThrow(
      'The client key /c.key is protected by a password.',
    )
  })
})
