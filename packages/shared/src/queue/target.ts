import { isIP } from 'node:net'
import type { RedisAddress } from '@securyflex/shared/config'

/** Where and as whom to connect, as ioredis and BullMQ take it. */
export type RedisTarget =
  | { readonly path: string }
  | {
      readonly host: string
      readonly port: number
      readonly username?: string
      readonly password?: string
      readonly db?: number
      readonly tls?: TlsOptions
    }

interface TlsOptions {
  readonly servername?: string
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** The target of an address; `unix:///path` is a socket. */
export function redisTarget(address: RedisAddress): RedisTarget {
  const url = new URL(address.url.reveal())
  if (url.protocol === 'unix:') return { path: decodeURIComponent(url.pathname) }
  const database = url.pathname.replace(/^\//, '')
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return {
    host,
    port: url.port === '' ? 6379 : Number(url.port),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(database === '' ? {} : { db: Number(database) }),
    ...(url.protocol === 'rediss:' ? { tls: tlsOptions(address, host) } : {}),
  }
}

function tlsOptions({ tls }: RedisAddress, host: string): TlsOptions {
  const { ca, client } = tls ?? {}
  return {
    // A name is indicated, an address never is (RFC 6066).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(client === undefined ? {} : { cert: client.certificate, key: client.key.reveal() }),
  }
}
