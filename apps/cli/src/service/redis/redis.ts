import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import type { Config, RedisAddress } from '@securyflex/shared/config'
import { BackupError, Secret } from '@securyflex/shared/errors'
import { ensureDirectory } from '@securyflex/shared/files'
import { createLogger, type Logger } from '@securyflex/shared/logging'
import { childEnvironment, tiedToParent } from '@securyflex/shared/postgres'
import { findRedisServer } from './find.ts'
import { socketDirectory, socketIn } from './socket-directory.ts'

/** Reading a large append-only file back takes its time, in ms. */
const startLimit = 60_000
/** How long it may take to end, in ms. */
const stopLimit = 10_000

/** What an embedded Redis needs to know. */
export type RedisHome = Pick<Config, 'directory' | 'logs'>

/** A Redis of this process's own, at a private socket. */
export interface EmbeddedRedis {
  readonly address: RedisAddress
  readonly process: ChildProcess
  /** Ends it once everything is on disk; may be called twice. */
  stop(): Promise<void>
}

/** Where the Redis of this BACKUP_DIR listens, whether it runs or not. */
export async function embeddedAddress({ directory }: Pick<Config, 'directory'>): Promise<RedisAddress> {
  await ensureDirectory(directory)
  const { pathname } = pathToFileURL(socketIn(await socketDirectory(directory)))
  return { url: new Secret(`unix://${pathname}`), shown: `unix://${pathname}` }
}

/**
 * Starts Redis with what it held before: an append-only file in `<BACKUP_DIR>/redis`. Nobody but this user
 * reaches it; it drops nothing for want of memory; it ends with this process, also when that is killed (where
 * `setpriv` is); what it says is kept in the logs. The caller sees to it that only one runs on a directory.
 * @throws SETUP_NEEDED without redis-server, or with its last words if it does not start
 */
export async function startRedis(home: RedisHome): Promise<EmbeddedRedis> {
  const program = await findRedisServer()
  const data = join(home.directory, 'redis')
  await ensureDirectory(data)
  const sockets = await socketDirectory(home.directory)
  const address = await embeddedAddress(home)
  const settings = { ...common, unixsocket: socketIn(sockets), dir: data }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const [command, ...rest] = tiedToParent('KILL', [program, ...args])
  const server = spawn(command, rest, {
    env: childEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C in the terminal must not end it before those who use it.
    detached: true,
  })
  const logger = createLogger({ name: 'redis', ...home.logs, stream: nowhere() })
  await untilReady(server, logger)
  let stopped: Promise<void> | undefined
  return { address, process: server, stop: () => (stopped ??= end(server, sockets, logger)) }
}

const common = {
  port: '0',
  unixsocketperm: '700',
  appendonly: 'yes',
  save: '',
  'maxmemory-policy': 'noeviction',
  daemonize: 'no',
}

/** Redis says when it is ready; what it says before explains why it is not. */
async function untilReady(server: ChildProcess, logger: Logger): Promise<void> {
  const said: string[] = []
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string) => {
      server.kill('SIGKILL')
      reject(cannotStart(what, said))
    }
    const limit = setTimeout(fail, startLimit, 'did not get ready')
    server.once('error', (error) => fail(`could not be started (${error.message})`))
    server.once('close', () => {
      clearTimeout(limit)
      fail('ended at its start')
    })
    // Read until the end, so that Redis never waits for somebody to listen.
    for (const stream of [server.stdout, server.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => {
        const text = line.replace(/^\d+:\w .{20,30} [.\-*#] /, '').trim()
        logger.info(text)
        said.push(text)
        if (said.length > 20) said.shift()
        if (!/ready to accept connections/i.test(line)) return
        clearTimeout(limit)
        resolve()
      })
    }
  })
}

function cannotStart(what: string, said: readonly string[]): BackupError {
  const last = said
    .filter((line) => line !== '')
    .slice(-3)
    .join(' | ')
  return new BackupError('SETUP_NEEDED', `redis-server ${what}${last === '' ? '' : `: ${last}`}.`, {
    hint: 'Mend that, or set REDIS_URL to a Redis elsewhere.',
  })
}

async function end(server: ChildProcess, sockets: string, logger: Logger): Promise<void> {
  if (server.exitCode === null && server.signalCode === null) {
    const exited = once(server, 'exit')
    server.kill('SIGTERM')
    const force = setTimeout(() => server.kill('SIGKILL'), stopLimit)
    await exited
    clearTimeout(force)
  }
  await logger.close()
  // One that was killed leaves its socket.
  await rm(socketIn(sockets), { force: true })
  await rmdir(sockets)
}

function nowhere(): Writable {
  return new Writable({
    write(_chunk, _encoding, done) {
      done()
    },
  })
}
