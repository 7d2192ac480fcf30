import { randomBytes } from 'node:crypto'
import type { Config, Connection, Source } from '@securyflex/shared/config'
import {
  createDatabase,
  dropDatabase,
  mayCreateDatabase,
  serverFacts,
  startThrowawayServer,
  type ThrowawayServer,
} from '@securyflex/shared/postgres'
import { print } from '../../output/print.ts'
import { count } from '../../output/written.ts'
import { withClient } from './client.ts'
import { changeShop, countShop, fillShop } from './shop.ts'

/** What the demo backs up, and where it may restore. */
export interface DemoDatabase extends AsyncDisposable {
  /** For the worker's environment; undefined: `DATABASE_URL` is handed on as it is. */
  readonly url: string | undefined
  /** Its own sample, which nobody else changes. */
  readonly sample: boolean
  readonly source: Connection
  /** Server on which a new database may be made. */
  readonly target: Connection
  /** Name of a database that is not there yet. */
  readonly scratch: string
  /** Whether the target is another server, which need not know the source's roles and locales. */
  readonly elsewhere: boolean
  /** Changes some rows, where that is allowed. */
  change(): Promise<void>
}

/** A throwaway server with a sample shop. */
export async function sampleDatabase(): Promise<DemoDatabase> {
  const server = await startThrowawayServer()
  try {
    await createDatabase(server.connection, 'shop')
    const source = { ...server.connection, database: 'shop' }
    const rows = await withClient(source, async (client) => {
      await fillShop(client)
      return countShop(client)
    })
    print(
      `A throwaway PostgreSQL ${server.major} with a sample shop: ${count(rows, 'row')}, pictures, JSON, partitions.`,
    )
    const url = server.connectionString.replace('/postgres?', '/shop?')
    const change = () => withClient(source, changeShop)
    const dispose = () => server.stop()
    return {
      url,
      sample: true,
      source,
      target: source,
      scratch: scratchName(),
      elsewhere: false,
      change,
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await server.stop()
    throw error
  }
}

/**
 * The database of `DATABASE_URL`. Nothing on its server is changed, but for a scratch database where the role
 * may create one; else the restore goes to a throwaway server.
 */
export async function ownDatabase({ connection }: Source, { pgBinDirectory }: Config): Promise<DemoDatabase> {
  const { may, major, version } = await withClient(connection, async (client) => ({
    may: await mayCreateDatabase(client),
    ...(await serverFacts(client)),
  }))
  const scratch = scratchName()
  print(`Your database ${connection.shown}, PostgreSQL ${version}. Nothing in it is changed.`)
  const server = may ? undefined : await throwaway(major, pgBinDirectory)
  if (server === undefined)
    print(`The restore goes to a scratch database on that server, ${scratch}, which is dropped again.`)
  else print('Its role may not create a database, so the restore goes to a throwaway server on this machine.')
  const target = server?.connection ?? connection
  const dispose = async () => {
    if (server === undefined) await dropDatabase(connection, scratch)
    else await server.stop()
  }
  const change = () => Promise.resolve()
  return {
    url: undefined,
    sample: false,
    source: connection,
    target,
    scratch,
    elsewhere: !may,
    change,
    [Symbol.asyncDispose]: dispose,
  }
}

async function throwaway(major: number, binDirectory: string | undefined): Promise<ThrowawayServer> {
  return startThrowawayServer({ major, ...(binDirectory === undefined ? {} : { binDirectory }) })
}

function scratchName(): string {
  return `securyflex_demo_${randomBytes(4).toString('hex')}`
}
