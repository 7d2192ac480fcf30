import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Connection } from '@securyflex/shared/config'
import { BackupError, Secret } from '@securyflex/shared/errors'
import { choose, findInstallations, type Installation } from './directories.ts'
import { childEnvironment } from './environment.ts'
import { tiedToParent } from './tool.ts'
import { installLine } from './tools.ts'

const run = promisify(execFile)

/** Which server to start, and where. */
export interface ThrowawayOptions {
  /** The version that it must have at least; its own major is preferred. The newest one found without it. */
  readonly major?: number
  /** The only directory to look for the server's programs in. */
  readonly binDirectory?: string
  /** Where the server's own directory is made; the system's temporary directory without it. */
  readonly directory?: string
  /** `socket` (default): nothing listens on the network. `loopback`: 127.0.0.1 on a free port, too. */
  readonly listen?: 'socket' | 'loopback'
  /** Further settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A PostgreSQL server that lives as long as this process at most. */
export interface ThrowawayServer {
  readonly major: number
  /** As superuser `postgres`, to the database `postgres`. */
  readonly connection: Connection
  /** The same as text; it holds the password. */
  readonly connectionString: string
  /** The programs of the server. */
  readonly binDirectory: string
  readonly dataDirectory: string
  readonly pid: number
  /** Stops the server and removes its directory; may be called twice. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Milliseconds that a start, and the orderly part of a stop, may take. */
const startLimit = 60_000
const stopLimit = 10_000

/**
 * Starts an empty server in a directory of its own (0700), durable in nothing, with one superuser whose
 * random password every connection has to give. As root it runs as `postgres`, else `nobody`, because the
 * server refuses root. It ends with this process, also when that is killed (where `setpriv` is).
 *
 * @throws TOOL_MISSING with the line that installs a server; INTERNAL with the server's last words.
 */
export async function startThrowawayServer(options: ThrowawayOptions = {}): Promise<ThrowawayServer> {
  const installation = await findServer(options)
  const owner = await serverUser()
  const home = await makeHome(options.directory ?? tmpdir(), owner)
  const password = randomBytes(18).toString('base64url')
  try {
    await initialise(installation, home, password, owner)
    const port = options.listen === 'loopback' ? await freePort() : 5432
    const server = await launch(installation, home, port, owner, options)
    return describeServer(installation, home, port, password, server, options)
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
}

async function findServer({ major, binDirectory }: ThrowawayOptions): Promise<Installation> {
  const { installations, broken } = await findInstallations(['postgres', 'initdb'], binDirectory)
  const newest = installations.toSorted((a, b) => b.major - a.major)[0]
  const chosen = major === undefined ? newest : choose(installations, major)
  if (chosen !== undefined) return chosen
  const found =
    broken.length > 0
      ? `: ${broken.join('; ')}`
      : newest === undefined
        ? ''
        : `; the newest is ${newest.version}`
  throw new BackupError(
    'TOOL_MISSING',
    `No PostgreSQL ${major === undefined ? '' : `${String(major)} `}server was found to start${found}.`,
    { hint: `Install it: ${installLine('server', major)}.` },
  )
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Undefined: this process's own user will do. */
async function serverUser(): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    const ids = await Promise.all(
      ['-u', '-g'].map((flag) => run('id', [flag, name], { env: childEnvironment() })),
    ).catch(() => undefined)
    if (ids?.[0] !== undefined && ids[1] !== undefined)
      return { uid: Number(ids[0].stdout), gid: Number(ids[1].stdout) }
  }
  throw new BackupError(
    'SETUP_NEEDED',
    'PostgreSQL does not run as root, and there is no user "postgres" or "nobody".',
    {
      hint: 'Start this as another user than root.',
    },
  )
}

async function makeHome(parent: string, owner: Owner | undefined): Promise<string> {
  await mkdir(parent, { recursive: true })
  const home = await mkdtemp(join(parent, 'securyflex-pg-'))
  await chmod(home, 0o700)
  if (owner !== undefined) await chown(home, owner.uid, owner.gid)
  return home
}

async function initialise(
  { directory }: Installation,
  home: string,
  password: string,
  owner: Owner | undefined,
): Promise<void> {
  const passwordFile = join(home, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (owner !== undefined) await chown(passwordFile, owner.uid, owner.gid)
  const args = [
    '-D',
    join(home, 'data'),
    '-U',
    'postgres',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
  ]
  try {
    await run(join(directory, 'initdb'), [...args, '--encoding=UTF8', '--locale=C', '--no-sync'], {
      env: childEnvironment(),
      cwd: home,
      ...owner,
    })
  } catch (error) {
    throw new BackupError('INTERNAL', `initdb failed: ${lastWords(error)}.`, {
      hint: `See whether ${home} can be entered by the server's user, and whether the disk is full.`,
      cause: error,
    })
  }
  await rm(passwordFile)
}

function lastWords(error: unknown): string {
  const stderr =
    typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr) : String(error)
  return stderr.trim().split('\n').slice(-3).join(' | ')
}

/** Free a moment ago; taken at once by the server. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

const disposable = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  max_connections: '60',
  logging_collector: 'off',
  log_destination: 'stderr',
  lc_messages: 'C',
}

async function launch(
  { directory }: Installation,
  home: string,
  port: number,
  owner: Owner | undefined,
  { listen, settings }: ThrowawayOptions,
): Promise<ChildProcess> {
  const all: Record<string, string> = {
    ...disposable,
    listen_addresses: listen === 'loopback' ? '127.0.0.1' : '',
    unix_socket_directories: home,
    port: String(port),
    ...settings,
  }
  const configured = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  // QUIT is PostgreSQL's immediate shutdown: it takes its children and shared memory along.
  const [command, ...args] = tiedToParent('QUIT', [
    join(directory, 'postgres'),
    '-D',
    join(home, 'data'),
    ...configured,
  ])
  const server = spawn(command, args, {
    env: childEnvironment(),
    cwd: home,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...owner,
  })
  await untilReady(server)
  return server
}

/** The server says when it is ready; what it says before that explains why it is not. */
async function untilReady(server: ChildProcess): Promise<void> {
  const said: string[] = []
  const lines = createInterface({ input: server.stderr ?? process.stdin })
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string) => {
      server.kill('SIGQUIT')
      reject(new BackupError('INTERNAL', `The PostgreSQL server ${what}: ${said.slice(-3).join(' | ')}.`))
    }
    const limit = setTimeout(() => {
      fail('did not get ready')
    }, startLimit)
    server.once('error', (error) => {
      fail(`could not be started (${error.message})`)
    })
    server.once('close', () => {
      clearTimeout(limit)
      fail('ended at its start')
    })
    // The lines are read on until the end, so that the server never waits for its log.
    lines.on('line', (line) => {
      said.push(line)
      if (said.length > 20) said.shift()
      if (!line.includes('ready to accept')) return
      clearTimeout(limit)
      resolve()
    })
  })
}

function describeServer(
  { directory, major }: Installation,
  home: string,
  port: number,
  password: string,
  server: ChildProcess,
  { listen }: ThrowawayOptions,
): ThrowawayServer {
  const host = listen === 'loopback' ? '127.0.0.1' : home
  const address =
    listen === 'loopback'
      ? `127.0.0.1:${String(port)}/postgres`
      : `/postgres?host=${encodeURIComponent(home)}&port=${String(port)}`
  const connection: Connection = {
    hosts: [{ host, port }],
    database: 'postgres',
    user: 'postgres',
    password: new Secret(password),
    ssl: { mode: 'disable' },
    parameters: {},
    shown: `postgresql://postgres@${address}`,
  }
  const quit = () => server.kill('SIGQUIT')
  process.once('exit', quit)
  let stopped: Promise<void> | undefined
  const stop = () => (stopped ??= shutDown(server, home).finally(() => process.off('exit', quit)))
  return {
    major,
    connection,
    connectionString: `postgresql://postgres:${password}@${address}`,
    binDirectory: directory,
    dataDirectory: join(home, 'data'),
    pid: server.pid ?? 0,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Fast shutdown (SIGINT): open transactions end; then immediate, then by force. */
async function shutDown(server: ChildProcess, home: string): Promise<void> {
  if (server.exitCode === null && server.signalCode === null) {
    const exited = once(server, 'exit')
    server.kill('SIGINT')
    const hurry = setTimeout(() => server.kill('SIGQUIT'), stopLimit)
    const force = setTimeout(() => server.kill('SIGKILL'), 2 * stopLimit)
    await exited
    clearTimeout(hurry)
    clearTimeout(force)
  }
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
}
