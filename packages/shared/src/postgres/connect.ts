import { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { Connection, Host } from '@securyflex/shared/config'
import { BackupError, systemCode } from '@securyflex/shared/errors'
import pg from 'pg'
import { explainConnectionError, isTlsFailure } from './connection-errors.ts'
import { tlsAttempts } from './tls.ts'

/** How one connection is opened. */
export interface OpenOptions {
  /** What the server's pg_stat_activity shows; `application_name` of the connection comes first. */
  readonly applicationName: string
  /** Cuts the connection, also when it is in use. */
  readonly signal?: AbortSignal
  /** Another database of the same server. */
  readonly database?: string
}

/** Milliseconds for one host, unless `connect_timeout` (seconds) says otherwise. */
const defaultTimeout = 10_000
/** Milliseconds of silence after which the operating system asks whether the peer is still there. */
const keepAliveDelay = 30_000

/**
 * A connection of its own, never from a pool. Hosts are tried in order, as libpq does: the next one only
 * where a host cannot be reached, is starting, or is not what `target_session_attrs` asks for.
 *
 * @throws DATABASE_UNREACHABLE, DATABASE_REFUSED with a remedy, or the signal's reason.
 */
export async function openConnection(connection: Connection, options: OpenOptions): Promise<pg.Client> {
  const wanted = connection.parameters['target_session_attrs'] ?? 'any'
  const rounds = wanted === 'prefer-standby' ? ['standby', 'any'] : [wanted]
  let failure: BackupError | undefined
  for (const role of rounds) {
    for (const host of connection.hosts) {
      try {
        return await openAt(host, role, connection, options)
      } catch (error) {
        failure = cancellation(options.signal) ?? explainConnectionError(error, connection, host)
        if (!mayTryNextHost(error, failure)) throw failure
      }
    }
  }
  throw failure ?? new BackupError('CONFIG_INVALID', `The connection ${connection.shown} names no host.`)
}

function cancellation(signal: AbortSignal | undefined): BackupError | undefined {
  if (signal?.aborted !== true) return undefined
  return signal.reason instanceof BackupError
    ? signal.reason
    : new BackupError('CANCELLED', 'The connection was cancelled.', { cause: signal.reason })
}

/** A host that says no to this user means it: libpq stops there too. */
function mayTryNextHost(error: unknown, failure: BackupError): boolean {
  return failure.code === 'DATABASE_UNREACHABLE' && systemCode(error) !== '53300'
}

async function openAt(
  host: Host,
  role: string,
  connection: Connection,
  options: OpenOptions,
): Promise<pg.Client> {
  const client = await openWithTls(host, connection, options)
  try {
    await requireRole(client, role, host)
    return client
  } catch (error) {
    await client.end()
    throw error
  }
}

/** The TLS attempts of `sslmode`; the second only where libpq makes one too. */
async function openWithTls(host: Host, connection: Connection, options: OpenOptions): Promise<pg.Client> {
  const attempts = await tlsAttempts(connection, host)
  for (const [index, tls] of attempts.entries()) {
    try {
      return await openOnce(host, tls, connection, options)
    } catch (error) {
      const another = index + 1 < attempts.length && options.signal?.aborted !== true
      if (!another || !(isTlsFailure(error) || systemCode(error) === '28000')) throw error
    }
  }
  throw new Error('no attempt was made')
}

async function openOnce(
  host: Host,
  tls: ConnectionOptions | false,
  connection: Connection,
  { applicationName, signal, database }: OpenOptions,
): Promise<pg.Client> {
  signal?.throwIfAborted()
  const socket = new Socket()
  const client = new pg.Client({
    host: host.host,
    port: host.port,
    user: connection.user,
    database: database ?? connection.database,
    password: passwordOf(connection, host),
    ssl: tls,
    stream: () => socket,
    application_name: connection.parameters['application_name'] ?? applicationName,
    options: connection.parameters['options'],
    enableChannelBinding: connection.parameters['channel_binding'] === 'require',
    connectionTimeoutMillis: timeoutOf(connection),
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelay,
  })
  // Each query and whoever holds the snapshot learn of a lost connection by themselves;
  // without a listener Node would end the process for it.
  client.on('error', () => undefined)
  const cut = () => socket.destroy()
  signal?.addEventListener('abort', cut, { once: true })
  client.once('end', () => signal?.removeEventListener('abort', cut))
  try {
    await client.connect()
    return client
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** A function, because node-postgres takes an empty password for "look into the environment". */
function passwordOf(connection: Connection, host: Host): () => string {
  return () => {
    if (connection.password !== undefined) return connection.password.reveal()
    throw new BackupError(
      'DATABASE_REFUSED',
      `The server ${host.host}:${String(host.port)} asks for the password of user "${connection.user}", and none is set.`,
      { hint: 'Put it into DATABASE_URL, DATABASE_URL_FILE or ~/.pgpass.' },
    )
  }
}

function timeoutOf(connection: Connection): number {
  const seconds = Number(connection.parameters['connect_timeout'])
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : defaultTimeout
}

/** `target_session_attrs` (libpq's manual); unknown values were refused with the configuration. */
async function requireRole(client: pg.Client, role: string, { host, port }: Host): Promise<void> {
  if (role === 'any') return
  const { rows } = await client.query<{ standby: boolean; readonly: boolean }>(
    `SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS readonly`,
  )
  const is = rows[0] ?? { standby: false, readonly: false }
  const suits: Readonly<Record<string, boolean>> = {
    'read-write': !is.readonly,
    'read-only': is.readonly,
    primary: !is.standby,
    standby: is.standby,
  }
  if (suits[role] === true) return
  throw new BackupError('DATABASE_UNREACHABLE', `The server ${host}:${String(port)} is not ${role}.`, {
    hint: `Name one that is in DATABASE_URL, or change target_session_attrs=${role} there.`,
  })
}

/**
 * `connection` narrowed to the host that `client` is connected to. A snapshot belongs to one server,
 * so the tools that use it must not choose again among several.
 */
export function sameServer(connection: Connection, client: pg.Client): Connection {
  return { ...connection, hosts: [{ host: client.host, port: client.port }] }
}
