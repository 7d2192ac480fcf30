// Installs the npm packages of the lock file when node_modules holds others, or none.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { outsideNode } from './node.mjs'
import { root } from './root.mjs'
import { SetUpError, say } from './say.mjs'

const modules = join(root, 'node_modules')
const remembered = join(modules, '.securyflex-lock-hash')
const busy = join(root, '.securyflex', 'installing')

/** Runs `npm ci` unless node_modules already is what package-lock.json says. */
export async function ensureModules() {
  if (isCurrent()) return
  await takeTurn()
  try {
    if (isCurrent()) return
    say('Installing npm packages (npm ci) …')
    const status = await npm([
      'ci',
      '--include=dev',
      '--include=optional',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
    ])
    if (status !== 0) {
      throw new SetUpError(
        `npm ci ended with status ${String(status)}.`,
        'Its own message above says why; run the command again afterwards.',
      )
    }
    writeFileSync(remembered, lockHash())
  } finally {
    rmSync(busy, { recursive: true, force: true })
  }
}

function isCurrent() {
  if (!existsSync(modules)) return false
  const hash = lockHash()
  if (existsSync(remembered) && readFileSync(remembered, 'utf8') === hash) return true
  if (!installedMatchesLock()) return false
  writeFileSync(remembered, hash)
  return true
}

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
}

/** npm keeps its own record of what lies in node_modules; a package it lacks may be for another platform. */
function installedMatchesLock() {
  const record = join(modules, '.package-lock.json')
  if (!existsSync(record)) return false
  const installed = packagesOf(record)
  const wanted = packagesOf(join(root, 'package-lock.json'))
  const changed = Object.keys(installed).some((path) => installed[path]?.version !== wanted[path]?.version)
  const lacking = Object.entries(wanted).some(
    ([path, entry]) => path.includes('node_modules/') && !entry.optional && !installed[path],
  )
  return !changed && !lacking
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, optional?: boolean }>}
 */
function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages
}

/** Two terminals that start at once must not both rewrite node_modules. */
async function takeTurn() {
  mkdirSync(join(root, '.securyflex'), { recursive: true })
  for (let said = false; ; said = true) {
    try {
      mkdirSync(busy)
      writeFileSync(join(busy, 'pid'), String(process.pid))
      return
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error
    }
    if (!ownerLives()) rmSync(busy, { recursive: true, force: true })
    else if (!said) say('Waiting for the npm ci of another terminal …')
    await wait(200)
  }
}

function ownerLives() {
  const file = join(busy, 'pid')
  if (!existsSync(file)) return true
  try {
    return process.kill(Number(readFileSync(file, 'utf8')), 0)
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM'
  }
}

/**
 * The npm that called us, or the one on the PATH, run by a Node that npm ci does not delete.
 * @param {string[]} args
 * @returns {Promise<number>}
 */
function npm(args) {
  const cli = process.env['npm_execpath']
  const useCaller = cli !== undefined && /npm-cli\.c?js$/.test(cli)
  const node = outsideNode()
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((entry) => !entry.startsWith(modules))
  const child = spawn(useCaller ? node : 'npm', useCaller ? [cli, ...args] : args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...withoutNpm(process.env), PATH: path.join(delimiter), npm_config_loglevel: 'error' },
  })
  return new Promise((resolve, reject) => {
    child.once('error', () =>
      reject(new SetUpError('npm was not found.', 'Install Node 20 or newer together with npm 10 or newer.')),
    )
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

/**
 * An option typed for us (`--force`, `--json`, `--dry-run`) must not become one of `npm ci`.
 * @param {NodeJS.ProcessEnv} env
 */
function withoutNpm(env) {
  const ours = /^npm_config_(force|json|yes|dry_run|keep|full|loglevel)$/
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ours.test(name)))
}
