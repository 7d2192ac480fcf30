import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { startCluster, type Cluster } from './cluster.ts'

let server: Server | undefined
let starting: Promise<Cluster> | undefined

/** The socket at which a test asks for the run's cluster; see `sharedCluster` in helpers/postgres.ts. */
export function clusterSocket(directory: string): string {
  return join(directory, 'pg')
}

/**
 * One PostgreSQL for all jest workers, started when the first test asks for it. It belongs to jest's own process, which
 * outlives the workers.
 */
export function serveCluster(directory: string): void {
  server = createServer((socket) => {
    starting ??= startCluster(join(directory, 'cluster'))
    starting.then(
      ({ host, port, user, password }) => socket.end(JSON.stringify({ host, port, user, password })),
      (error: unknown) => socket.end(JSON.stringify({ error: String(error) })),
    )
  })
  server.listen(clusterSocket(directory))
  server.unref()
}

/** Stops the cluster if one was started, and removes its files. */
export async function stopCluster(): Promise<void> {
  if (server) {
    server.close()
    await once(server, 'close')
  }
  const cluster = await starting?.catch(() => undefined)
  await cluster?.stop()
  if (cluster) rmSync(cluster.directory, { recursive: true, force: true })
}
