// Run as root: `node apt.mjs <package>…` installs Debian packages and leaves no service running or enabled, and no
// PostgreSQL cluster, that was not there before. What it changes for that is put back, also after a crash of an earlier run.
import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'

const policy = '/usr/sbin/policy-rc.d'
const clusters = '/etc/postgresql-common/createcluster.conf'
const aside = '.before-securyflex'
const units = '/etc/systemd/system'
/** systemd's units; a System V script has the name of its service. Ceph's targets start what crashed daemons left. */
const services = [
  'postgresql.service',
  'redis-server.service',
  'radosgw.service',
  'ceph-crash.service',
  'ceph-mon.target',
  'ceph-osd.target',
  'ceph-radosgw.target',
  'ceph.target',
]

let interrupted = false
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    if (!interrupted) process.stderr.write('The package manager is being let finish first …\n')
    interrupted = true
  })
}

const names = process.argv.slice(2)
putBack()
const before = services.filter(isInstalled)
try {
  forbidStarts()
  if (names.includes('postgresql')) {
    await install(['postgresql-common'])
    forbidClusters()
  }
  await install(names)
  for (const service of services)
    if (!before.includes(service) && isInstalled(service)) await disable(service)
} catch (error) {
  process.stderr.write(`${String(error instanceof Error ? error.message : error)}\n`)
  process.exitCode = 1
} finally {
  putBack()
}
if (interrupted) process.exitCode = 130

/** @param {string[]} wanted */
async function install(wanted) {
  const command = [
    '-y',
    '-qq',
    '-o',
    'DPkg::Lock::Timeout=300',
    'install',
    '--no-install-recommends',
    '--no-upgrade',
    ...wanted,
  ]
  const first = await run('apt-get', command)
  if (first.status === 0) return
  // Without lists, or with old ones that name files that are gone, a fresh list helps; nothing else does.
  const update = await run('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', 'update'])
  if (update.status !== 0) throw new Error(update.output)
  const second = await run('apt-get', command)
  if (second.status !== 0) throw new Error(second.output)
}

/** invoke-rc.d(8) and deb-systemd-invoke(1p) ask this script before each start; 101 forbids it. */
function forbidStarts() {
  const earlier = `${policy}${aside}`
  if (existsSync(policy)) renameSync(policy, earlier)
  else writeFileSync(`${policy}.none${aside}`, '')
  writeFileSync(
    policy,
    `#!/bin/sh
# Written by the set-up of SecuryFlex Backup for as long as it runs.
kill -0 ${String(process.pid)} 2>/dev/null && exit 101
[ -x ${earlier} ] && exec ${earlier} "$@"
exit 0
`,
  )
  chmodSync(policy, 0o755)
}

/** createcluster.conf of pg_createcluster(1): the server package makes a cluster `main` unless this says no. */
function forbidClusters() {
  const text = readFileSync(clusters, 'utf8')
  writeFileSync(`${clusters}${aside}`, text)
  const others = text.split('\n').filter((line) => !/^\s*create_main_cluster\b/.test(line))
  writeFileSync(clusters, `${others.join('\n')}\ncreate_main_cluster = false\n`)
}

function putBack() {
  if (existsSync(`${policy}${aside}`)) renameSync(`${policy}${aside}`, policy)
  else if (existsSync(`${policy}.none${aside}`)) rmSync(policy, { force: true })
  rmSync(`${policy}.none${aside}`, { force: true })
  if (existsSync(`${clusters}${aside}`)) {
    writeFileSync(clusters, readFileSync(`${clusters}${aside}`))
    rmSync(`${clusters}${aside}`)
  }
}

/** @param {string} unit */
function isInstalled(unit) {
  const places = ['/lib/systemd/system/', '/usr/lib/systemd/system/']
  return existsSync(`/etc/init.d/${scriptOf(unit)}`) || places.some((place) => existsSync(`${place}${unit}`))
}

/** @param {string} unit */
function scriptOf(unit) {
  return unit.replace(/\.service$/, '')
}

/**
 * Not to be started at the next boot either; with systemd, with its offline helper, and with System V links.
 * @param {string} unit
 */
async function disable(unit) {
  if (existsSync('/usr/bin/systemctl')) await run('systemctl', ['disable', '--quiet', unit])
  else if (existsSync('/usr/bin/deb-systemd-helper')) await run('deb-systemd-helper', ['disable', unit])
  const script = scriptOf(unit)
  if (existsSync(`/etc/init.d/${script}`) && existsSync('/usr/sbin/update-rc.d'))
    await run('update-rc.d', [script, 'disable'])
  // The offline helper leaves the unit's second name (redis.service), which would count as enabled.
  for (const name of existsSync(units) ? readdirSync(units) : []) {
    const link = `${units}/${name}`
    if (lstatSync(link).isSymbolicLink() && readlinkSync(link).endsWith(`/${unit}`)) rmSync(link)
  }
}

/**
 * In a process group of its own: Ctrl-C in the terminal does not reach it.
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<{ status: number, output: string }>}
 */
function run(program, args) {
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
  })
  /** @type {Buffer[]} */
  const output = []
  child.stdout.on('data', (chunk) => output.push(chunk))
  child.stderr.on('data', (chunk) => output.push(chunk))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ status: code ?? 1, output: Buffer.concat(output).toString() }))
  })
}
