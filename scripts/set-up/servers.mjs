// Where PostgreSQL's, Redis' and Ceph's programs are on this machine. Nothing is started here.
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * @typedef {import('../targets.mjs').Need} Need
 * @typedef {import('../targets.mjs').Environment} Environment
 */

const serverPrograms = ['initdb', 'pg_ctl', 'postgres']
const cephPrograms = ['radosgw', 'radosgw-admin', 'ceph', 'ceph-mon', 'ceph-osd', 'monmaptool']
const clientPrograms = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql']

/**
 * Those of the needs that this machine does not meet.
 * @param {readonly string[]} needs
 * @param {Environment} env
 * @returns {string[]}
 */
export function missingServers(needs, env) {
  return needs.filter((need) => {
    if (need === 'postgres-server') return !findPostgresServer(env)
    if (need === 'postgres-client') return !findPostgresClient(env)
    if (need === 'redis-server') return !findRedisServer(env)
    // Elsewhere it is not packaged: the suite that needs it says that it is left out.
    if (need === 'ceph') return existsSync('/etc/debian_version') && !holds('/usr/bin', cephPrograms)
    return false
  })
}

/**
 * The directory that holds initdb, pg_ctl and postgres: BACKUP_PG_BIN_DIR if it does, else the newest installed.
 * @param {Environment} env
 * @returns {string | undefined}
 */
export function findPostgresServer(env) {
  return postgresDirectories(env).find((directory) => holds(directory, serverPrograms))
}

/**
 * The directory that holds pg_dump, pg_dumpall, pg_restore and psql. A BACKUP_PG_BIN_DIR is taken at its word:
 * the product itself says what is missing in it.
 * @param {Environment} env
 * @returns {string | undefined}
 */
export function findPostgresClient(env) {
  return (
    env['BACKUP_PG_BIN_DIR'] || postgresDirectories(env).find((directory) => holds(directory, clientPrograms))
  )
}

/**
 * Path of redis-server.
 * @param {Environment} env
 * @returns {string | undefined}
 */
export function findRedisServer(env) {
  const places = [...pathOf(env), '/usr/bin', '/usr/local/bin', ...brewPlaces('redis')]
  return places.map((place) => join(place, 'redis-server')).find((path) => existsSync(path))
}

/** @param {Environment} env */
function postgresDirectories(env) {
  const own = env['BACKUP_PG_BIN_DIR'] ? [env['BACKUP_PG_BIN_DIR']] : []
  const debian = versionsIn('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`)
  const fedora = versionsIn('/usr', /^pgsql-(\d+)$/).map((name) => `/usr/${name}/bin`)
  return [...own, ...debian, ...fedora, ...brewPlaces('postgresql'), ...pathOf(env)]
}

/** @param {string} formula */
function brewPlaces(formula) {
  const names = new RegExp(`^${formula}(?:@(\\d+))?$`)
  const roots = ['/opt/homebrew/opt', '/usr/local/opt', '/home/linuxbrew/.linuxbrew/opt']
  return roots.flatMap((place) => versionsIn(place, names).map((name) => join(place, name, 'bin')))
}

/**
 * Entries of a directory that name a version, newest first.
 * @param {string} directory
 * @param {RegExp} pattern
 */
function versionsIn(directory, pattern = /^(\d+)$/) {
  if (!existsSync(directory)) return []
  const version = (/** @type {string} */ name) => Number(pattern.exec(name)?.[1] ?? 0)
  return readdirSync(directory)
    .filter((name) => pattern.test(name))
    .sort((a, b) => version(b) - version(a))
}

/** @param {Environment} env */
function pathOf(env) {
  return (env['PATH'] ?? '').split(delimiter).filter((entry) => entry !== '')
}

/**
 * @param {string} directory
 * @param {string[]} programs
 */
function holds(directory, programs) {
  return programs.every((program) => existsSync(join(directory, program)))
}
