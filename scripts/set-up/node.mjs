// Finds the Node that runs the product: the pinned one from node_modules, else an installed one of that line or newer.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { root } from './root.mjs'
import { SetUpError } from './say.mjs'

const oldest = 26

/**
 * Path of a Node binary of version 26 or newer that runs on this machine.
 * @throws {SetUpError} naming what to install
 */
export function findNode() {
  const pinned = pinnedNode()
  const candidates = [...(existsSync(pinned) ? [pinned] : []), process.execPath, ...installed()]
  const found = candidates.find((path) => majorOf(path) >= oldest)
  if (found) return found
  throw new SetUpError(
    `Node ${String(oldest)} was not found, and no package of it runs on ${process.platform} ${process.arch}.`,
    remedy(),
  )
}

/** A Node outside node_modules, so that npm ci does not delete the binary that it runs on. */
export function outsideNode() {
  if (!process.execPath.startsWith(join(root, 'node_modules'))) return process.execPath
  return onPath().find((path) => majorOf(path) >= 20) ?? process.execPath
}

/** The pinned binary for Linux is linked against libatomic, which small images lack. */
export function nodeNeedsLibatomic() {
  if (process.platform !== 'linux' || majorOf(process.execPath) >= oldest) return false
  const places = [
    '/lib',
    '/usr/lib',
    '/lib64',
    '/usr/lib64',
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
  ]
  return !places.some((place) => existsSync(join(place, 'libatomic.so.1')))
}

function pinnedNode() {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  return join(root, 'node_modules', `node-${platform}-${process.arch}`, 'bin', name)
}

function installed() {
  const brew = ['/opt/homebrew/opt', '/usr/local/opt', '/home/linuxbrew/.linuxbrew/opt']
  return [
    ...onPath(),
    ...brew
      .flatMap((place) => ['node', 'node@26'].map((name) => join(place, name, 'bin/node')))
      .filter(existsSync),
  ]
}

function onPath() {
  const modules = join(root, 'node_modules')
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((entry) => entry && !entry.startsWith(modules))
    .map((entry) => join(entry, 'node'))
    .filter((path) => existsSync(path))
}

/** @param {string} path */
function majorOf(path) {
  if (path === process.execPath) return Number(process.versions.node.split('.')[0])
  const answer = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 10_000 })
  return Number(/^v(\d+)\./.exec(answer.stdout)?.[1] ?? 0)
}

function remedy() {
  if (process.platform === 'darwin') return 'Type: brew install node'
  const pinned = pinnedNode()
  const complaint = existsSync(pinned)
    ? spawnSync(pinned, ['--version'], { encoding: 'utf8' }).stderr.trim()
    : ''
  return `${complaint ? `The packaged one says: ${complaint}\n` : ''}Install Node ${String(oldest)} or newer from https://nodejs.org and put it first on the PATH.`
}
