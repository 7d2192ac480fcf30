import { readFile } from 'node:fs/promises'
import { checkServerIdentity, type ConnectionOptions, getCACertificates, type SecureVersion } from 'node:tls'
import type { Connection, Host } from '@securyflex/shared/config'
import { BackupError, systemCode } from '@securyflex/shared/errors'

/**
 * The TLS settings to try one after the other at `host`, with libpq's meaning of `sslmode`
 * (libpq's manual, "SSL Mode Descriptions"); `false` is a plain connection. Unix sockets are always plain.
 */
export async function tlsAttempts(
  connection: Connection,
  { host }: Host,
): Promise<readonly (ConnectionOptions | false)[]> {
  const { mode } = connection.ssl
  if (mode === 'disable' || host.startsWith('/')) return [false]
  const settings = await tlsSettings(connection, host)
  if (mode === 'allow') return [false, settings]
  if (mode === 'prefer') return [settings, false]
  return [settings]
}

async function tlsSettings({ ssl, parameters }: Connection, host: string): Promise<ConnectionOptions> {
  const settings: ConnectionOptions = {
    rejectUnauthorized: ssl.mode === 'verify-ca' || ssl.mode === 'verify-full',
    // For an IP address too, which Node would otherwise compare with the name "localhost".
    checkServerIdentity: (_, certificate) =>
      ssl.mode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
    minVersion: protocolVersion(parameters['ssl_min_protocol_version']) ?? 'TLSv1.2',
  }
  const newest = protocolVersion(parameters['ssl_max_protocol_version'])
  if (newest !== undefined) settings.maxVersion = newest
  if (ssl.rootCertificate === 'system') settings.ca = getCACertificates('system')
  else if (ssl.rootCertificate !== undefined) settings.ca = await read(ssl.rootCertificate)
  if (ssl.certificate !== undefined) settings.cert = await read(ssl.certificate)
  if (ssl.key !== undefined) settings.key = await read(ssl.key)
  if (ssl.keyPassword !== undefined) settings.passphrase = ssl.keyPassword.reveal()
  if (parameters['sslcrl'] !== undefined) settings.crl = await read(parameters['sslcrl'])
  return settings
}

const protocolVersions: Readonly<Record<string, SecureVersion>> = {
  tlsv1: 'TLSv1',
  'tlsv1.1': 'TLSv1.1',
  'tlsv1.2': 'TLSv1.2',
  'tlsv1.3': 'TLSv1.3',
}

function protocolVersion(name: string | undefined): SecureVersion | undefined {
  return name === undefined ? undefined : protocolVersions[name.toLowerCase()]
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new BackupError(
      'DATABASE_REFUSED',
      `The certificate file ${path} cannot be read (${systemCode(error) ?? 'unknown'}).`,
      {
        hint: 'Correct its path in the connection string, or its permissions.',
        cause: error,
      },
    )
  }
}
