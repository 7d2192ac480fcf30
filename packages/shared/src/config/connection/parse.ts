import { Secret } from '@securyflex/shared/errors'
import { nearest } from '../nearest.ts'
import { readConninfo } from './conninfo.ts'
import type { Connection, Host, ParsedConnection } from './connection.ts'
import { resolveHosts } from './hosts.ts'
import { isKept, isKnown, parameterNames, reasonToDrop, settingVariables } from './parameters.ts'
import { databaseLines, passwordFor, readPasswordFile } from './password-file.ts'
import { type Environment, ownFile, systemUser } from './places.ts'
import { refusal, type Settings } from './refusal.ts'
import { readService } from './service-file.ts'
import { isRemote, show } from './shown.ts'
import { resolveSsl } from './ssl.ts'
import { example, readUri } from './uri.ts'

/**
 * Reads a connection string as libpq does: what the string leaves open is taken from the service file,
 * then from the environment (`PGHOST`, …), then from libpq's defaults; a password that is still missing
 * from the password file. `env` defaults to the process's environment. `database` takes the place of the string's.
 *
 * @throws BackupError CONFIG_INVALID whose message never contains a value that may be secret.
 */
export function parseConnection(
  text: string,
  env: Environment = process.env,
  database?: string,
): ParsedConnection {
  const { settings, notices } = readString(text.trim())
  const given = dropForeign(settings, notices)
  if (database !== undefined) given.set('dbname', database)
  fillFromService(given, env, notices)
  fillFromEnvironment(given, env)

  const hosts = resolveHosts(given)
  const user = given.get('user') || systemUser()
  const chosen = given.get('dbname') || user
  const lines = given.get('password') ? [] : linesOfPasswordFile(given, env, notices)
  const nameOf = nameInPasswordFile(given)
  const password = given.get('password') || fromPasswordFile(lines, nameOf, { hosts, user, database: chosen })
  const ssl = resolveSsl(
    given,
    env,
    hosts.every(({ host }) => host.startsWith('/')),
  )
  const connection: Connection = {
    hosts,
    database: chosen,
    user,
    password: password === undefined ? undefined : secretBeside(password, [user, chosen]),
    ssl,
    parameters: Object.fromEntries([...given].filter(([name]) => isKept(name))),
    shown: show({ hosts, user, database: chosen }),
  }
  const [first] = hosts
  const passwords =
    first === undefined
      ? []
      : databaseLines({ host: nameOf(first), port: first.port, user }, lines).map((line) => ({
          database: line.database,
          password:
            line.password === undefined
              ? undefined
              : secretBeside(line.password, [user, line.database ?? '']),
        }))
  return {
    connection,
    notices: [...notices, ...warnOfPlainText(connection)],
    ...(passwords.length === 0 ? {} : { passwords }),
  }
}

/**
 * A password that is also the user's or the database's name (`postgres:postgres`) is hidden wherever it stands as
 * a password, but not looked for in text: the name is no secret, and a remedy without it could not be typed.
 */
function secretBeside(password: string, names: readonly string[]): Secret {
  return new Secret(password, names.includes(password) ? [] : [password])
}

function readString(text: string): { settings: Settings; notices: string[] } {
  const scheme = /^([a-z][a-z0-9+.:-]*):\/\//i.exec(text)?.[1]
  if (scheme === undefined && text.includes('=')) return { settings: readConninfo(text), notices: [] }
  if (scheme === 'postgresql' || scheme === 'postgres') return readUri(text)
  const dialect =
    scheme === undefined ? undefined : /^(?:jdbc:)?(?:postgresql|postgres)(?:\+\w+)?$/i.exec(scheme)
  if (dialect) {
    throw refusal(
      `The connection string begins with “${scheme ?? ''}://”, which only some programs understand.`,
      'Let it begin with postgresql://.',
    )
  }
  throw refusal('The connection string is not one of PostgreSQL.', `Write it like ${example}.`)
}

/** Without what other programs put into connection strings; pg_dump would die of it. */
function dropForeign(settings: Settings, notices: string[]): Settings {
  const kept: Settings = new Map()
  for (const [name, value] of settings) {
    const reason = reasonToDrop(name)
    if (reason !== undefined) notices.push(`The connection parameter “${name}” is dropped: ${reason}.`)
    else if (isKnown(name)) kept.set(name, value)
    else throw unknownParameter(name)
  }
  return kept
}

function unknownParameter(name: string) {
  if (name === 'ssl') {
    return refusal(
      'The connection parameter “ssl” says less than libpq needs.',
      'Write sslmode=require or sslmode=disable.',
    )
  }
  // Anything else may be the second half of a password with a space or an ampersand in it.
  const shown = /^[a-z][a-z_]{2,40}$/i.test(name) ? ` “${name}”` : ''
  return refusal(
    `The connection string has a parameter${shown} that PostgreSQL does not know.`,
    `Remove it or correct it; the nearest known is ${nearest(name, parameterNames)}.`,
  )
}

function fillFromService(settings: Settings, env: Environment, notices: string[]): void {
  const service = settings.get('service') || env['PGSERVICE']
  if (!service) return
  const file = settings.get('servicefile') || env['PGSERVICEFILE'] || undefined
  fill(settings, dropForeign(readService(service, file, env), notices))
}

function fillFromEnvironment(settings: Settings, env: Environment): void {
  for (const [name, variable] of Object.entries(settingVariables)) {
    const value = env[variable]
    if (value) fill(settings, new Map([[name, value]]))
  }
}

function fill(settings: Settings, more: Settings): void {
  for (const [name, value] of more) if (!settings.has(name)) settings.set(name, value)
}

function linesOfPasswordFile(settings: Settings, env: Environment, notices: string[]): readonly string[] {
  const file = readPasswordFile(settings.get('passfile') || ownFile(env, '.pgpass', 'pgpass.conf'))
  notices.push(...file.notices)
  return file.lines
}

function fromPasswordFile(
  lines: readonly string[],
  nameOf: (host: Host) => string,
  { hosts, user, database }: Pick<Connection, 'user' | 'database'> & { hosts: readonly Host[] },
): string | undefined {
  const passwords = hosts.map((host) =>
    passwordFor({ host: nameOf(host), port: host.port, database, user }, lines),
  )
  if (new Set(passwords).size > 1) {
    throw refusal(
      'The password file does not give the hosts of the connection string one and the same password.',
      'Name one host, or add a line for each of them with that password.',
    )
  }
  return passwords[0]
}

/** What a host is called in the password file. */
function nameInPasswordFile(settings: Settings): (host: Host) => string {
  const usualSocket = !settings.get('host') && !settings.get('hostaddr')
  return ({ host }) => (host.startsWith('/') && (usualSocket || isUsualSocket(host)) ? 'localhost' : host)
}

/** In the password file the default socket directory goes by the name `localhost`. */
function isUsualSocket(directory: string): boolean {
  return ['/var/run/postgresql', '/run/postgresql', '/tmp'].includes(directory)
}

function warnOfPlainText({ hosts, ssl }: Connection): string[] {
  if (!['disable', 'allow', 'prefer'].includes(ssl.mode)) return []
  const remote = hosts.filter(({ host }) => isRemote(host)).map(({ host }) => host)
  if (remote.length === 0) return []
  return [
    `The connection to ${remote.join(', ')} may pass the network unencrypted (sslmode ${ssl.mode}): ` +
      'write sslmode=verify-full, or at least sslmode=require.',
  ]
}
