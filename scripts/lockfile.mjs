// Run after each `npm install`: completes package-lock.json for other platforms. A registry may lack packages that carry
// binaries for a platform nobody here has; npm then leaves them out of the lock file, and `npm ci` of npm >= 11 refuses
// the lock ("Missing: … from lock file"). An entry without a checksum, marked optional and for that platform only, is
// enough for it, and is never fetched elsewhere.
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { root } from './set-up/root.mjs'
import { say } from './set-up/say.mjs'

/**
 * @typedef {{ version?: string, dev?: boolean, optional?: boolean, os?: string[], cpu?: string[],
 *   optionalDependencies?: Record<string, string> }} Entry
 */

const systems = 'android darwin freebsd linux netbsd openbsd openharmony sunos aix win32'.split(' ')
const processors = 'arm64 arm x64 ia32 ppc64 s390x riscv64 loong64 wasm32 mips64el'.split(' ')

const file = resolve(root, 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8'))
const added = Object.entries(/** @type {Record<string, Entry>} */ (lock.packages)).flatMap(([path, entry]) =>
  Object.entries(entry.optionalDependencies ?? {}).flatMap(([name, range]) =>
    complete(path, entry, name, range),
  ),
)
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')))
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
say(added.length > 0 ? `Completed the lock file with ${added.join(', ')}.` : 'The lock file is complete.')

/**
 * @param {string} path of the package that names the optional dependency
 * @param {Entry} parent
 * @param {string} name
 * @param {string} range
 */
function complete(path, parent, name, range) {
  const places = [`node_modules/${name}`, ...(path ? [`${path}/node_modules/${name}`] : [])]
  if (places.some((place) => lock.packages[place])) return []
  const words = name.replace('windows', 'win32').split(/[/-]/)
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) =>
    words.some((word) => word === processor || word === `${processor}eabihf`),
  )
  if (!os && !cpu)
    throw new Error(`${name} is optional for ${path} and names no platform; is the registry complete?`)
  lock.packages[`node_modules/${name}`] = {
    version: range.replace(/^[\^~]/, ''),
    ...(cpu ? { cpu: [cpu] } : {}),
    ...(parent.dev ? { dev: true } : {}),
    optional: true,
    ...(os ? { os: [os] } : {}),
  }
  return [name]
}
