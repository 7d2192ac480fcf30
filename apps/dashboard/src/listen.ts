import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { BackupError, systemCode } from '@securyflex/shared/errors'

/** How long answers under way may take once the server closes, in ms. */
const patience = 5000

/**
 * A server that listens and has no handler yet: the port comes first, so that a second start fails before
 * it has written or connected anything.
 * @throws PORT_IN_USE, CONFIG_INVALID if the host is none of this machine's or the port is reserved
 */
export async function listen(host: string, port: number): Promise<Server> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    return server
  } catch (error) {
    throw explain(error, host, port)
  }
}

function explain(error: unknown, host: string, port: number): unknown {
  switch (systemCode(error)) {
    case 'EADDRINUSE':
      return new BackupError('PORT_IN_USE', `Port ${port} of ${host} is taken by another program.`, {
        hint: `Take another one: DASHBOARD_PORT=${port < 65_535 ? port + 1 : 3001} npm start`,
        cause: error,
      })
    case 'EACCES':
      return new BackupError('CONFIG_INVALID', `This user may not listen at port ${port}.`, {
        hint: 'Take one from 1024 on: DASHBOARD_PORT=3000 npm start',
        cause: error,
      })
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new BackupError('CONFIG_INVALID', `${host} is no address of this machine.`, {
        hint: 'Set DASHBOARD_HOST=127.0.0.1, or an address that this machine has.',
        cause: error,
      })
    default:
      return error
  }
}

/** Where a server listens, as it is typed into a browser; a port of 0 has become a real one. */
export function addressOf(server: Server): { host: string; port: number; url: string } {
  const address = server.address()
  if (address === null || typeof address === 'string')
    throw new TypeError('the server does not listen at a port')
  const { address: host, port, family } = address
  return { host, port, url: `http://${family === 'IPv6' ? `[${host}]` : host}:${port}/` }
}

/** Stops listening, lets answers under way end, and cuts what takes longer. */
export async function stopListening(server: Server): Promise<void> {
  const timer = setTimeout(() => {
    server.closeAllConnections()
  }, patience)
  server.close()
  server.closeIdleConnections()
  await once(server, 'close')
  clearTimeout(timer)
}
