import type { Connection } from '@securyflex/shared/config'
import type pg from 'pg'
import { openConnection } from './connect.ts'
import { startThrowawayServer, type ThrowawayOptions, type ThrowawayServer } from './throwaway-server.ts'

/** What the tests of one file share. */
export interface TestServer {
  readonly server: ThrowawayServer
  /** As superuser, to `database`. */
  connection(database?: string): Connection
  /** A connection that is closed with the file. */
  open(connection?: Connection): Promise<pg.Client>
  /** Runs statements as superuser. */
  run(statements: string, database?: string): Promise<void>
  /** A new, empty database. */
  database(): Promise<string>
}

/** Jest's, handed over so that this file needs none of it. */
interface Hooks {
  readonly beforeAll: (work: () => Promise<void>) => void
  readonly afterAll: (work: () => Promise<void>) => void
}

/** Starts a server before the tests of a file and stops it after them. */
export function testServer({ beforeAll, afterAll }: Hooks, options: ThrowawayOptions = {}): TestServer {
  let running: ThrowawayServer | undefined
  let created = 0
  const clients: pg.Client[] = []
  beforeAll(async () => {
    running = await startThrowawayServer(options)
  })
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.end()))
    await running?.stop()
  })

  const started = (): ThrowawayServer => {
    if (running === undefined) throw new Error('The server starts before the tests, not before that.')
    return running
  }
  const connection = (database = 'postgres'): Connection => ({ ...started().connection, database })
  const open = async (to: Connection = connection()): Promise<pg.Client> => {
    const client = await openConnection(to, { applicationName: 'test' })
    clients.push(client)
    return client
  }
  const run = async (statements: string, database?: string): Promise<void> => {
    const client = await openConnection(connection(database), { applicationName: 'test' })
    await client.query(statements).finally(() => client.end())
  }
  return {
    get server() {
      return started()
    },
    connection,
    open,
    run,
    async database() {
      const name = `database_${++created}`
      await run(`CREATE DATABASE ${name}`)
      return name
    },
  }
}

/** What a promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => {
      throw new Error('It was expected to fail.')
    },
    (error: unknown) => error,
  )
}

/** Waits for a state that another process brings about. */
export async function until(state: () => boolean | Promise<boolean>): Promise<void> {
  // Fifteen seconds, in looks: a machine that stands still does not look.
  for (let looks = 0; !(await state()); looks += 1) {
    if (looks > 750) throw new Error('The state that the test waits for did not come.')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
