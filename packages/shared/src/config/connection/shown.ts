import { isIPv4, isIPv6 } from 'node:net'
import type { Connection } from './connection.ts'

/**
 * A URI that people can read and copy, and that leads to the same place; never a password. IPv6
 * addresses in brackets; socket directories as the `host` parameter.
 */
export function show({ hosts, user, database }: Pick<Connection, 'hosts' | 'user' | 'database'>): string {
  const name = `${encodeURIComponent(user)}@`
  const path = `/${encodeURIComponent(database)}`
  if (hosts.every(({ host, port }) => !host.startsWith('/') && port > 0)) {
    return `postgresql://${name}${hosts.map(({ host, port }) => `${bracket(host)}:${port}`).join(',')}${path}`
  }
  const places = hosts.map(({ host }) => encodeURIComponent(host).replaceAll('%2F', '/')).join(',')
  const ports = hosts.map(({ port }) => port).join(',')
  const usualPort = hosts.every(({ port }) => port === 5432)
  return `postgresql://${name}${path}?host=${places}${usualPort ? '' : `&port=${ports}`}`
}

function bracket(host: string): string {
  return isIPv6(host.replace(/%.*$/, ''))
    ? `[${encodeURIComponent(host).replaceAll('%3A', ':')}]`
    : encodeURIComponent(host)
}

/** Whether a connection to it leaves this machine. */
export function isRemote(host: string): boolean {
  if (host.startsWith('/') || host === 'localhost' || host === '::1') return false
  return !(isIPv4(host) && host.startsWith('127.'))
}
