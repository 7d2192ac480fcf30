import { existsSync, statSync } from 'node:fs'
import { Secret } from '@securyflex/shared/errors'
import { type Ssl, type SslMode, sslModes } from './connection.ts'
import { nearest } from '../nearest.ts'
import { type Environment, ownFile } from './places.ts'
import { refusal, type Settings } from './refusal.ts'

/**
 * What the SSL settings mean to libpq (https://www.postgresql.org/docs/current/libpq-ssl.html), with the
 * files in `~/.postgresql` that it takes when they exist. A file that is named and missing is an error
 * here even where libpq goes on without it: whoever names a file means it.
 */
export function resolveSsl(settings: Settings, env: Environment, throughSocketsOnly: boolean): Ssl {
  const rootCertificate = settings.get('sslrootcert') || undefined
  const mode = readMode(settings.get('sslmode'), rootCertificate)
  if (throughSocketsOnly || mode === 'disable') return { mode: 'disable' }
  return { ...withRoot(mode, rootCertificate, env), ...clientCertificate(settings, env) }
}

function readMode(given: string | undefined, rootCertificate: string | undefined): SslMode {
  if (given === undefined) return rootCertificate === 'system' ? 'verify-full' : 'prefer'
  const mode = sslModes.find((known) => known === given)
  if (mode === undefined) {
    throw refusal(
      'The sslmode of the connection is none that libpq knows.',
      `Write one of ${sslModes.join(', ')}; the nearest is ${nearest(given, sslModes)}.`,
    )
  }
  if (rootCertificate === 'system' && mode !== 'verify-full') {
    throw refusal(
      `The sslmode ${mode} is too weak for sslrootcert=system.`,
      'Write sslmode=verify-full, or leave sslmode out.',
    )
  }
  return mode
}

function withRoot(
  mode: SslMode,
  given: string | undefined,
  env: Environment,
): Pick<Ssl, 'mode' | 'rootCertificate'> {
  if (given === 'system') return { mode, rootCertificate: given }
  const usual = ownFile(env, '.postgresql/root.crt', 'root.crt')
  if (given !== undefined) requireFile(given, 'sslrootcert')
  const rootCertificate = given ?? (existsSync(usual) ? usual : undefined)
  if (rootCertificate !== undefined) return { mode: mode === 'require' ? 'verify-ca' : mode, rootCertificate }
  if (mode === 'verify-ca' || mode === 'verify-full') {
    throw refusal(
      `The sslmode ${mode} needs a root certificate, and neither sslrootcert nor ${usual} gives one.`,
      'Write sslrootcert=system to trust the authorities of the operating system, or the path of a certificate.',
    )
  }
  return { mode }
}

function clientCertificate(settings: Settings, env: Environment): Omit<Ssl, 'mode' | 'rootCertificate'> {
  const usual = ownFile(env, '.postgresql/postgresql.crt', 'postgresql.crt')
  const named = settings.get('sslcert') || undefined
  if (named !== undefined) requireFile(named, 'sslcert')
  const certificate = named ?? (existsSync(usual) ? usual : undefined)
  if (certificate === undefined || settings.get('sslcertmode') === 'disable') return {}
  const key = settings.get('sslkey') || ownFile(env, '.postgresql/postgresql.key', 'postgresql.key')
  requireFile(key, 'sslkey')
  requirePrivate(key)
  const password = settings.get('sslpassword')
  return { certificate, key, ...(password ? { keyPassword: new Secret(password) } : {}) }
}

function requireFile(path: string, parameter: string): void {
  if (existsSync(path) && statSync(path).isFile()) return
  throw refusal(
    `The file ${path} for ${parameter} of the connection does not exist or is not a file.`,
    `Correct ${parameter}, or put the file there.`,
  )
}

/** libpq's rule: 0600 or stricter; 0640 if the file belongs to root. */
function requirePrivate(key: string): void {
  if (process.platform === 'win32') return
  const { mode, uid } = statSync(key)
  const forbidden = uid === 0 ? 0o037 : 0o077
  if ((mode & forbidden) === 0) return
  throw refusal(`The private key ${key} may be read by others.`, `Type chmod 600 ${key}.`)
}
