// Installs PostgreSQL, Redis and what the pinned Node is linked against, where that is allowed; else says what to type.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SetUpError, say } from './say.mjs'

/** @type {Record<string, { said: string, apt: string, brew?: string, dnf: string, pacman: string }>} */
const packages = {
  'postgres-server': {
    said: 'PostgreSQL server',
    apt: 'postgresql',
    brew: 'postgresql@17',
    dnf: 'postgresql-server',
    pacman: 'postgresql',
  },
  'postgres-client': {
    said: 'PostgreSQL client tools',
    apt: 'postgresql-client',
    brew: 'postgresql@17',
    dnf: 'postgresql',
    pacman: 'postgresql',
  },
  'redis-server': { said: 'redis-server', apt: 'redis-server', brew: 'redis', dnf: 'redis', pacman: 'redis' },
  ceph: {
    said: 'Ceph (an S3 server)',
    apt: 'radosgw ceph-mon ceph-osd',
    dnf: 'ceph-radosgw ceph-mon ceph-osd',
    pacman: 'ceph',
  },
  libatomic: { said: 'libatomic', apt: 'libatomic1', dnf: 'libatomic', pacman: 'gcc-libs' },
}

/**
 * Installs what is missing, announcing it first.
 * @param {string[]} missing keys of `packages`
 * @param {() => string[]} stillMissing
 * @throws {SetUpError} with the command to type when it may not, or could not
 */
export async function installSystemPackages(missing, stillMissing) {
  const manager = packageManager()
  const names = [...new Set(missing.flatMap((need) => packages[need]?.[manager ?? 'apt']?.split(' ') ?? []))]
  const what = `Missing on this machine: ${missing.map((need) => packages[need]?.said).join(', ')}.`
  const command = manager === 'apt' ? aptCommand(names) : manager === 'brew' ? brewCommand(names) : undefined
  if (!command) throw new SetUpError(what, toType(manager, names))
  say(
    `Installing with ${manager === 'apt' ? 'apt-get' : 'brew'}: ${names.join(', ')} (no service is started) …`,
  )
  const status = await runToItsEnd(command)
  if (status !== 0) throw new SetUpError('The installation failed, see above.', toType(manager, names))
  const left = stillMissing()
  if (left.length > 0)
    throw new SetUpError(
      `Installed, but not found: ${left.join(', ')}.`,
      "Put their directory on the PATH, or name PostgreSQL's in BACKUP_PG_BIN_DIR.",
    )
}

/** @returns {'apt' | 'brew' | 'dnf' | 'pacman' | undefined} */
function packageManager() {
  if (process.platform === 'darwin') return 'brew'
  if (existsSync('/usr/bin/apt-get') && existsSync('/etc/debian_version')) return 'apt'
  if (existsSync('/usr/bin/dnf')) return 'dnf'
  if (existsSync('/usr/bin/pacman')) return 'pacman'
  return undefined
}

/**
 * As root, or through a sudo that asks for no password.
 * @param {string[]} names
 */
function aptCommand(names) {
  const script = [process.execPath, fileURLToPath(new URL('apt.mjs', import.meta.url)), ...names]
  if (process.getuid?.() === 0) return script
  const sudo = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' })
  return sudo.status === 0 ? ['sudo', '-n', ...script] : undefined
}

/** @param {string[]} names */
function brewCommand(names) {
  const brew = ['/opt/homebrew/bin/brew', '/usr/local/bin/brew'].find((path) => existsSync(path))
  return (
    brew && [
      'env',
      'HOMEBREW_NO_AUTO_UPDATE=1',
      'HOMEBREW_NO_INSTALL_UPGRADE=1',
      brew,
      'install',
      '--quiet',
      ...names,
    ]
  )
}

/**
 * @param {ReturnType<typeof packageManager>} manager
 * @param {string[]} names
 */
function toType(manager, names) {
  const list = names.join(' ')
  if (manager === 'apt')
    return `Type: sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends ${list}'`
  if (manager === 'brew') return `Install Homebrew from https://brew.sh, then type: brew install ${list}`
  if (manager === 'dnf') return `Type: sudo dnf install -y ${list}`
  if (manager === 'pacman') return `Type: sudo pacman -S --needed ${list}`
  return 'Install PostgreSQL (server and client tools) and Redis with the package manager of this system.'
}

/**
 * A package manager that is interrupted leaves half a package behind, so Ctrl-C takes effect after it has ended.
 * @param {string[]} command
 * @returns {Promise<number>}
 */
function runToItsEnd(command) {
  const [program = '', ...args] = command
  let interrupted = false
  const remember = () => {
    interrupted = true
  }
  process.on('SIGINT', remember)
  const child = spawn(program, args, { stdio: ['ignore', 2, 2] })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => {
      process.off('SIGINT', remember)
      if (interrupted) reject(new SetUpError('Interrupted after the installation had ended.'))
      else resolve(code ?? 1)
    })
  })
}
