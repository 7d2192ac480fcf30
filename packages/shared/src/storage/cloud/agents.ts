import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Duplex } from 'node:stream'

/** What a provider's library opens its connections with. */
export interface Agents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

/**
 * Connections that are kept for the next call, and given up when nothing has moved on them for `patience` ms: a server
 * that accepts and never answers, or that stops reading or sending in the middle. How long a call takes as long as
 * something moves is nobody's business.
 */
export function watchedAgents(patience: number): Agents {
  return { http: new WatchedHttpAgent(patience), https: new WatchedHttpsAgent(patience) }
}

/** The agent itself sets the timeout again on connections that it takes back. */
const options = (patience: number) => ({ keepAlive: true, timeout: patience, scheduling: 'lifo' }) as const

class WatchedHttpAgent extends HttpAgent {
  readonly #patience: number

  constructor(patience: number) {
    super(options(patience))
    this.#patience = patience
  }

  override createConnection(...args: Parameters<HttpAgent['createConnection']>): Connection {
    return watched(super.createConnection(...args), this.#patience)
  }
}

class WatchedHttpsAgent extends HttpsAgent {
  readonly #patience: number

  constructor(patience: number) {
    super(options(patience))
    this.#patience = patience
  }

  override createConnection(...args: Parameters<HttpsAgent['createConnection']>): Connection {
    return watched(super.createConnection(...args), this.#patience)
  }
}

type Connection = Duplex | null | undefined

function watched(connection: Connection, patience: number): Connection {
  connection?.on('timeout', () => connection.destroy(new NoProgress(patience)))
  return connection
}

/** Nothing moved on a connection. */
class NoProgress extends Error {
  readonly code = 'ETIMEDOUT'

  constructor(patience: number) {
    super(`nothing moved on the connection for ${String(patience / 1000)} seconds`)
    this.name = 'NoProgress'
  }
}
