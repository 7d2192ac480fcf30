import { BackupError, type ErrorClass, type ErrorCode, systemCode } from '@securyflex/shared/errors'
import type { Connection, Host } from '@securyflex/shared/config'

interface Explanation {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
  readonly class?: ErrorClass
}

/** What failed at one host: Node's, node-postgres' or the server's error in this project's words. */
export function explainConnectionError(error: unknown, connection: Connection, host: Host): BackupError {
  if (error instanceof BackupError) return error
  const place: Place = { connection, at: `${host.host}:${String(host.port)}`, host }
  const {
    code,
    message,
    hint,
    class: kind,
  } = bySqlState(error, place) ?? bySystemCode(error, place) ?? byText(error, place)
  return new BackupError(code, message, {
    hint,
    cause: error,
    ...(kind === undefined ? {} : { class: kind }),
  })
}

interface Place {
  readonly connection: Connection
  readonly host: Host
  /** `host:port`. */
  readonly at: string
}

/** The server answered with an error; see PostgreSQL's manual, appendix A. */
function bySqlState(error: unknown, { connection, at }: Place): Explanation | undefined {
  const { user, database } = connection
  const said = error instanceof Error ? error.message : ''
  switch (systemCode(error)) {
    case '28P01':
      return {
        code: 'DATABASE_REFUSED',
        message: `The server ${at} refused the password of user "${user}".`,
        hint: 'Correct the user or the password in DATABASE_URL; a password in a URL is percent-encoded.',
      }
    case '28000':
      return {
        code: 'DATABASE_REFUSED',
        message: `The server ${at} does not let user "${user}" in: ${said}.`,
        hint: /does not exist/.test(said)
          ? 'Correct the user in DATABASE_URL, or create it: CREATE ROLE … LOGIN PASSWORD …;'
          : "Add a line for this user, database and address to the server's pg_hba.conf, or set sslmode=require in DATABASE_URL.",
      }
    case '3D000':
      return {
        code: 'DATABASE_REFUSED',
        message: `The server ${at} has no database "${database}".`,
        hint: 'Correct the name in DATABASE_URL; psql -l lists the databases of a server.',
      }
    case '42501':
      return {
        code: 'DATABASE_REFUSED',
        message: `User "${user}" may not connect to database "${database}" at ${at}.`,
        hint: `Type as its owner: GRANT CONNECT ON DATABASE "${database}" TO "${user}";`,
      }
    case '53300':
      return {
        code: 'DATABASE_UNREACHABLE',
        message: `The server ${at} has too many connections.`,
        hint: 'Close some, or raise max_connections; a backup needs three at a time.',
      }
    case '57P03':
      return {
        code: 'DATABASE_UNREACHABLE',
        message: `The server ${at} does not take connections now: ${said}.`,
        hint: 'Try again when it has started.',
      }
    default:
      return undefined
  }
}

/** There was no answer, or no agreement about TLS. */
function bySystemCode(error: unknown, { connection, at, host }: Place): Explanation | undefined {
  const code = systemCode(error)
  const unreachable = (message: string, hint: string): Explanation => ({
    code: 'DATABASE_UNREACHABLE',
    message,
    hint,
  })
  const untrusted = (message: string, hint: string): Explanation => ({
    code: 'DATABASE_REFUSED',
    message,
    hint,
  })
  switch (code) {
    case 'ENOTFOUND':
      return unreachable(`The host "${host.host}" is unknown.`, 'Correct the host in DATABASE_URL.')
    case 'EAI_AGAIN':
      return unreachable(
        `The host "${host.host}" could not be looked up.`,
        'Check the name server of this machine, and the host in DATABASE_URL.',
      )
    case 'ECONNREFUSED':
      return unreachable(
        `Nothing answers at ${at}: the connection was refused.`,
        'Start PostgreSQL there, or correct host and port in DATABASE_URL.',
      )
    case 'ENOENT':
    case 'EACCES':
      return unreachable(
        `The socket ${host.host}/.s.PGSQL.${String(host.port)} ${code === 'ENOENT' ? 'does not exist' : 'may not be opened'}.`,
        'Start PostgreSQL, or correct the socket directory and port in DATABASE_URL.',
      )
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return unreachable(
        `The server ${at} cannot be reached (${code}).`,
        'Check network and firewall, and the host in DATABASE_URL.',
      )
    case 'CERT_HAS_EXPIRED':
      return untrusted(`The certificate of ${at} has expired.`, 'Renew it on the server.')
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return untrusted(
        `The certificate of ${at} is for another host name.`,
        'Use a host name that is in the certificate, or sslmode=verify-ca to trust any certificate of this authority.',
      )
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return untrusted(
        `The certificate of ${at} is not signed by an authority that is trusted (${code}).`,
        `Name the authority's certificate: sslrootcert=/path/ca.pem in DATABASE_URL${connection.ssl.rootCertificate === undefined ? '' : ` (now ${connection.ssl.rootCertificate})`}.`,
      )
    default:
      return undefined
  }
}

/** node-postgres has no codes for these. */
function byText(error: unknown, { at }: Place): Explanation {
  const said = error instanceof Error ? error.message : String(error)
  if (/does not support SSL/.test(said)) {
    return {
      code: 'DATABASE_REFUSED',
      message: `The server ${at} does not offer TLS.`,
      hint: 'Switch it on in the server (ssl = on), or set sslmode=prefer in DATABASE_URL if the network is trusted.',
    }
  }
  if (/timeout expired/.test(said)) {
    return {
      code: 'DATABASE_UNREACHABLE',
      message: `The server ${at} did not answer in time.`,
      hint: 'Check network and firewall, and the host in DATABASE_URL; connect_timeout=30 waits longer.',
    }
  }
  if (isTlsFailure(error)) {
    return {
      code: 'DATABASE_REFUSED',
      message: `No encrypted connection to ${at} came about: ${said}.`,
      hint: "Compare sslmode, sslrootcert, sslcert and sslkey in DATABASE_URL with the server's settings.",
    }
  }
  return {
    code: 'DATABASE_UNREACHABLE',
    message: `The connection to ${at} failed: ${said}.`,
    hint: 'Check that it is a PostgreSQL server that answers there.',
  }
}

/** Whether the error is one of the TLS layer, after which `sslmode=prefer` goes on without. */
export function isTlsFailure(error: unknown): boolean {
  const code = systemCode(error) ?? ''
  const said = error instanceof Error ? error.message : ''
  return /SSL|TLS|EPROTO|CERT/.test(code) || /SSL|TLS/.test(said)
}
