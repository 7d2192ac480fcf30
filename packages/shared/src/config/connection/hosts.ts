import type { Host } from './connection.ts'
import { socketDirectory } from './places.ts'
import { refusal, type Settings } from './refusal.ts'

const defaultPort = 5432

/**
 * The places to try, from comma-separated `host` and `port`: one port serves all hosts, otherwise there
 * are as many ports as hosts; an empty host is the local socket, an empty port 5432. `hostaddr` stands in
 * for `host` when that is missing.
 */
export function resolveHosts(settings: Settings): Host[] {
  const names = settings.get('host') ?? ''
  const addresses = settings.get('hostaddr') ?? ''
  if (names !== '' && addresses !== '') {
    throw refusal(
      'The connection names both host and hostaddr.',
      'Leave hostaddr (and PGHOSTADDR) out; with an address as host there is no name to look up either.',
    )
  }
  const hosts = (names === '' ? addresses : names).split(',')
  const ports = (settings.get('port') ?? '').split(',').map(readPort)
  if (ports.length > 1 && ports.length !== hosts.length) {
    throw refusal(
      `The connection names ${hosts.length} hosts and ${ports.length} ports.`,
      'Give one port for all hosts, or one for each.',
    )
  }
  return hosts.map((host, index) => {
    const port = ports[ports.length === 1 ? 0 : index] ?? defaultPort
    if (host.startsWith('@')) {
      throw refusal(
        'Abstract sockets (a host that begins with “@”) are not supported.',
        'Name the socket’s directory.',
      )
    }
    return { host: host === '' ? socketDirectory(port) : host, port }
  })
}

/** The value is not repeated in the error: it may be a part of a password that was not encoded. */
function readPort(text: string): number {
  if (text.trim() === '') return defaultPort
  const port = Number(text)
  if (/^\s*\d+\s*$/.test(text) && port >= 1 && port <= 65_535) return port
  throw refusal(
    'The port of the connection is not a number from 1 to 65535.',
    'Write it like host:5432, or leave it out.',
  )
}
