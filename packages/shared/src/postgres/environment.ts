import { homedir, tmpdir } from 'node:os'
import type { Connection } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'

/** Where the programs are that a tool may start in turn. */
const standardPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * The environment of every child process: nothing of this process's own variables, where secrets may be.
 * Messages are asked for in English, because errors are told apart by them.
 */
export function childEnvironment(): Record<string, string> {
  return { PATH: standardPath, HOME: homedir(), TMPDIR: tmpdir(), LC_MESSAGES: 'C' }
}

/** libpq parameters that have an environment variable (libpq's manual, "Environment Variables"). */
const variables: Readonly<Record<string, string>> = {
  application_name: 'PGAPPNAME',
  channel_binding: 'PGCHANNELBINDING',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  gssencmode: 'PGGSSENCMODE',
  gssdelegation: 'PGGSSDELEGATION',
  gsslib: 'PGGSSLIB',
  krbsrvname: 'PGKRBSRVNAME',
  load_balance_hosts: 'PGLOADBALANCEHOSTS',
  max_protocol_version: 'PGMAXPROTOCOLVERSION',
  min_protocol_version: 'PGMINPROTOCOLVERSION',
  options: 'PGOPTIONS',
  require_auth: 'PGREQUIREAUTH',
  requirepeer: 'PGREQUIREPEER',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  sslcertmode: 'PGSSLCERTMODE',
  sslcompression: 'PGSSLCOMPRESSION',
  sslcrl: 'PGSSLCRL',
  sslcrldir: 'PGSSLCRLDIR',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslsni: 'PGSSLSNI',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
}

/**
 * The environment with which libpq's tools open `connection`. It holds the password, so that no
 * argument has to. Parameters without a variable (`keepalives…`) are left to libpq's defaults.
 *
 * @throws DATABASE_REFUSED for a client key with a password: libpq takes that one from arguments and files only.
 */
export function libpqEnvironment(connection: Connection): Record<string, string> {
  const { ssl } = connection
  if (ssl.keyPassword !== undefined) {
    throw new BackupError('DATABASE_REFUSED', `The client key ${ssl.key ?? ''} is protected by a password.`, {
      hint: `Store it without one, readable by its owner only: openssl pkey -in ${ssl.key ?? 'client.key'} -out client-plain.key.`,
    })
  }
  const environment = childEnvironment()
  environment['PGHOST'] = connection.hosts.map(({ host }) => host).join(',')
  environment['PGPORT'] = connection.hosts.map(({ port }) => port).join(',')
  environment['PGDATABASE'] = connection.database
  environment['PGUSER'] = connection.user
  environment['PGSSLMODE'] = ssl.mode
  if (connection.password !== undefined) environment['PGPASSWORD'] = connection.password.reveal()
  if (ssl.rootCertificate !== undefined) environment['PGSSLROOTCERT'] = ssl.rootCertificate
  if (ssl.certificate !== undefined) environment['PGSSLCERT'] = ssl.certificate
  if (ssl.key !== undefined) environment['PGSSLKEY'] = ssl.key
  for (const [parameter, value] of Object.entries(connection.parameters)) {
    const variable = variables[parameter]
    if (variable !== undefined) environment[variable] = value
  }
  return environment
}
