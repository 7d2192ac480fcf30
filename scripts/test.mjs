// Runs jest (Node 26 starts this) and closes with one plain line: `N passed, N failed, N skipped`.
// `--full` includes the suites that need more than PostgreSQL and Redis; everything else is handed to jest.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './set-up/root.mjs'

const args = process.argv.slice(2)
const directory = mkdtempSync(join(tmpdir(), 'sfx-counts-'))
const counts = join(directory, 'counts.json')
// What it cannot fetch it says, and the suites that need it say that they are skipped.
if (args.includes('--full'))
  spawnSync('bash', [join(root, 'scripts/set-up/postgresql-majors.sh')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
try {
  const status = await jest(args.filter((arg) => arg !== '--full'))
  const { passed, failed, skipped } = existsSync(counts)
    ? JSON.parse(readFileSync(counts, 'utf8'))
    : { passed: 0, failed: 0, skipped: 0 }
  // jest can fail without a failed test: it could not start, or processes were left behind.
  const allFailed = failed === 0 && status !== 0 ? 1 : failed
  console.log(`${String(passed)} passed, ${String(allFailed)} failed, ${String(skipped)} skipped`)
  process.exitCode = allFailed > 0 ? status || 1 : 0
} finally {
  rmSync(directory, { recursive: true })
}

/**
 * @param {string[]} more
 * @returns {Promise<number>}
 */
function jest(more) {
  const node = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning']
  if (process.env['SECURYFLEX_TEST_GC']) node.push('--expose-gc')
  const full = args.includes('--full') ? { SECURYFLEX_TEST_FULL: '1' } : {}
  const child = spawn(process.execPath, [...node, 'node_modules/jest/bin/jest.js', ...more], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...full, SECURYFLEX_TEST_COUNTS: counts },
  })
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.on(signal, () => child.kill(signal))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      resolve(signal ? 128 + constants.signals[signal] : (code ?? 1))
    })
  })
}
