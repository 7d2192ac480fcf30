import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Connection } from '@securyflex/shared/config'
import { findTools, startThrowawayServer, type Tools } from '@securyflex/shared/postgres'
import { createBench, dumpSize } from './data.ts'
import { inMegabytes } from './measure.ts'
import type { Options } from './options.ts'

/** The server and database that both sides work on, and where they may write. */
export interface Stage extends AsyncDisposable {
  readonly options: Options
  readonly directory: string
  /** To the database that is backed up. */
  readonly connection: Connection
  /** The same with its password, for the worker's environment; another database of the server if one is named. */
  readonly url: (database?: string) => string
  readonly tools: Tools
  /** Bytes of an uncompressed archive of the database as it was made. */
  readonly archiveBytes: number
  /** A new empty directory below the stage's own. */
  room(name: string): Promise<string>
  say(line: string): void
}

/** As on a small server of one's own: it caches some of the database, and does not vacuum while we measure. */
const settings = {
  shared_buffers: '512MB',
  maintenance_work_mem: '256MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '30min',
  autovacuum: 'off',
}

/** Starts a server and fills a database on it; disposing leaves nothing. */
export async function setStage(options: Options): Promise<Stage> {
  const stack = new AsyncDisposableStack()
  try {
    const directory = await mkdtemp(join(tmpdir(), 'securyflex-bench-'))
    stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
    const server = stack.use(await startThrowawayServer({ settings }))
    const say = (line: string) => process.stderr.write(`${line}\n`)
    say(`PostgreSQL ${server.major}; filling a database whose dump has ${inMegabytes(options.size)} …`)
    const connection = await createBench(server.connection, options.size)
    const tools = await findTools(server.major)
    const archiveBytes = await dumpSize(tools, connection)
    say(`Its dump has ${inMegabytes(archiveBytes)}.`)
    let rooms = 0
    return {
      options,
      directory,
      connection,
      url: (database = connection.database) => server.connectionString.replace('/postgres?', `/${database}?`),
      tools,
      archiveBytes,
      async room(name) {
        const path = join(directory, `${String((rooms += 1))}-${name}`)
        await mkdir(path)
        return path
      },
      say,
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}
