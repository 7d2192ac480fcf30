import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { findRedisServer } from '../../scripts/set-up/servers.mjs'
import { tiedToUs } from '../run/tied-to-us.ts'
import { freePort } from './free-port.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** Settings of redis.conf by their names. */
export type RedisSettings = Readonly<Record<string, string>>

/** A redis-server of one test's own, empty, persistent (append-only file), with the policy that queues need. */
export interface TestRedis extends AsyncDisposable {
  /** redis://127.0.0.1:port */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Path of its Unix socket. */
  readonly socket: string
  /** Ends it politely and removes its files. */
  stop(): Promise<void>
  /** SIGKILL; what was written stays for `restart`. */
  kill(): Promise<void>
  /** Starts it again at the same address with the same data, after `kill` or instead of what runs. */
  restart(changes?: RedisSettings): Promise<void>
  /** Stops answering without closing anything (SIGSTOP) … */
  pause(): void
  /** … and answers again (SIGCONT). */
  resume(): void
}

/**
 * Starts one and waits until it answers, about 50 ms.
 * @param settings of redis.conf beside ours, or in place of ours
 */
export async function startRedis(settings: RedisSettings = {}): Promise<TestRedis> {
  const directory = await temporaryDirectory()
  const socket = directory.join('redis.sock')
  const first = await startAnywhere(directory.path, settings)
  const port = first.port
  let server = first.server
  const kill = (signal: NodeJS.Signals): Promise<void> => end(server, signal)
  const stop = async (): Promise<void> => {
    server.kill('SIGCONT')
    await kill('SIGTERM')
    await directory.remove()
  }
  return {
    url: `redis://127.0.0.1:${String(port)}`,
    host: '127.0.0.1',
    port,
    socket,
    stop,
    kill: () => kill('SIGKILL'),
    restart: async (changes = {}) => {
      await kill('SIGKILL')
      server = spawnServer(directory.path, port, { ...settings, ...changes })
      if (!(await answers(server, directory.path))) throw new Error('redis-server did not come back.')
    },
    pause: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    [Symbol.asyncDispose]: stop,
  }
}

async function startAnywhere(
  directory: string,
  settings: RedisSettings,
): Promise<{ server: ChildProcess; port: number }> {
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    const port = await freePort()
    const server = spawnServer(directory, port, settings)
    if (await answers(server, directory)) return { server, port }
  }
  throw new Error('redis-server did not start at any of five ports.')
}

function spawnServer(directory: string, port: number, settings: RedisSettings): ChildProcess {
  const redisServer = findRedisServer(process.env)
  if (redisServer === undefined) throw new Error('redis-server was not found; `npm test` installs it.')
  const all = {
    bind: '127.0.0.1',
    port: String(port),
    unixsocket: join(directory, 'redis.sock'),
    unixsocketperm: '700',
    dir: directory,
    daemonize: 'no',
    appendonly: 'yes',
    save: '',
    'maxmemory-policy': 'noeviction',
    ...settings,
  }
  const args = Object.entries(all).flatMap(([name, value]) => [
    `--${name}`,
    ...(name === 'bind' ? value.split(' ') : [value]),
  ])
  const [program, ...rest] = tiedToUs([redisServer, ...args])
  return spawn(program, rest, { stdio: 'ignore' })
}

/** Waits for the first answer at its own socket, so that another server at the port is not taken for it. */
async function answers(server: ChildProcess, directory: string): Promise<boolean> {
  const client = new Redis({
    path: join(directory, 'redis.sock'),
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
  })
  // Refusals until the socket is there are expected and retried.
  client.on('error', () => undefined)
  try {
    return await Promise.race([client.ping().then(() => true), once(server, 'exit').then(() => false)])
  } finally {
    client.disconnect()
  }
}

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const exit = once(server, 'exit')
  server.kill(signal)
  await exit
}
