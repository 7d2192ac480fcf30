import type { Secret } from '@securyflex/shared/errors'

/** libpq's `sslmode`, weakest first. */
export const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

/** One of libpq's `sslmode` values. */
export type SslMode = (typeof sslModes)[number]

/** One place where a server may listen. */
export interface Host {
  /** A name, an IP address (IPv6 without brackets), or a socket's directory, which begins with `/`. */
  readonly host: string
  readonly port: number
}

/**
 * How a connection is encrypted, with every default already applied: files that are named exist.
 * `require` with a root certificate has become `verify-ca`, as libpq treats it; a connection through
 * Unix sockets only is `disable`, because libpq never speaks TLS there.
 */
export interface Ssl {
  readonly mode: SslMode
  /** Path of the certificates to trust, or `system` for those of the operating system. */
  readonly rootCertificate?: string
  /** Path of the client certificate; `key` is then set too. */
  readonly certificate?: string
  readonly key?: string
  /** The password of the client's key file. */
  readonly keyPassword?: Secret
}

/** What one connection string means to libpq once environment, service file and password file are applied. */
export interface Connection {
  /** At least one; tried in this order. */
  readonly hosts: readonly Host[]
  readonly database: string
  readonly user: string
  readonly password: Secret | undefined
  readonly ssl: Ssl
  /** Other libpq parameters by their libpq names: `application_name`, `connect_timeout`, `options`, … */
  readonly parameters: Readonly<Record<string, string>>
  /** For people: `postgresql://user@host:5432/database`, never with a password. */
  readonly shown: string
}

/** A connection, and what the reader of the logs should know about how it was understood. */
export interface ParsedConnection {
  readonly connection: Connection
  readonly notices: readonly string[]
  /** Where the password is the password file's: what that says of the server's databases. */
  readonly passwords?: DatabasePasswords
}

/** Passwords by database in the order of the password file, undefined for every database: the first that fits counts. */
export type DatabasePasswords = readonly {
  readonly database: string | undefined
  readonly password: Secret | undefined
}[]
