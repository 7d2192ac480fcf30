import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { findPostgresServer } from '../../scripts/set-up/servers.mjs'
import { freePort } from '../helpers/free-port.ts'
import { tiedToUs } from './tied-to-us.ts'

const execute = promisify(execFile)

/** A running PostgreSQL that trusts nobody without the password, on loopback and on a socket in its directory. */
export interface Cluster {
  readonly directory: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  stop(): Promise<void>
}

/** Makes and starts a cluster in a directory that does not exist yet. Its data does not survive a power cut. */
export async function startCluster(directory: string): Promise<Cluster> {
  const programs = findPostgresServer(process.env)
  if (!programs) throw new Error('PostgreSQL’s server programs were not found; `npm test` installs them.')
  const owner = await ownerOfClusters()
  await mkdir(directory, { recursive: true })
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, 'test', { mode: 0o600 })
  for (const path of [directory, passwordFile]) if (owner) await chown(path, owner.uid, owner.gid)
  await chmod(directory, 0o711)
  const data = join(directory, 'data')
  const [program, ...args] = tiedToUs(
    [
      join(programs, 'initdb'),
      ...[
        '--pgdata',
        data,
        '--username',
        'postgres',
        '--pwfile',
        passwordFile,
        '--encoding',
        'UTF8',
        '--locale',
        'C.UTF-8',
      ],
      ...['--auth-local', 'scram-sha-256', '--auth-host', 'scram-sha-256', '--no-sync'],
    ],
    owner,
  )
  await execute(program, args, { cwd: directory })
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const server = spawnServer(join(programs, 'postgres'), data, directory, port, owner)
    if (await isReady(server, data)) {
      return {
        directory,
        host: '127.0.0.1',
        port,
        user: 'postgres',
        password: 'test',
        stop: () => stop(server),
      }
    }
    if (attempt === 3)
      throw new Error(`PostgreSQL did not start:\n${await readFile(join(directory, 'log'), 'utf8')}`)
  }
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

/** PostgreSQL refuses to run as root; the package's own user, else nobody, takes its place. */
async function ownerOfClusters(): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (!user) throw new Error('There is no user that PostgreSQL could run as.')
  return { uid: Number(user[2]), gid: Number(user[3]) }
}

function spawnServer(
  postgres: string,
  data: string,
  directory: string,
  port: number,
  owner: Owner | undefined,
): ChildProcess {
  const fast = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'max_connections=200']
  const places = [
    'listen_addresses=127.0.0.1',
    `port=${String(port)}`,
    `unix_socket_directories=${directory}`,
  ]
  const settings = [...fast, ...places, 'logging_collector=off'].flatMap((setting) => ['-c', setting])
  const [program, ...args] = tiedToUs([postgres, '-D', data, ...settings], owner)
  return spawn(program, args, { cwd: directory, stdio: 'ignore' })
}

/** postmaster.pid names the state in its eighth line ("ready"), as pg_ctl reads it. */
async function isReady(server: ChildProcess, data: string): Promise<boolean> {
  // Thirty seconds, in looks: a machine that stands still does not look.
  for (let looks = 0; server.exitCode === null && server.signalCode === null && looks < 1500; looks += 1) {
    const state = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
    if (state.split('\n')[7]?.trim() === 'ready') return true
    await wait(20)
  }
  server.kill('SIGKILL')
  return false
}

/** SIGINT is PostgreSQL's fast shutdown: clients are disconnected. */
async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const exit = once(server, 'exit')
  server.kill('SIGINT')
  await exit
}
