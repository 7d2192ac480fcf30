// What can be run, what of the system it needs, and the command line that Node 26 gets.
/**
 * @typedef {'postgres-server' | 'postgres-client' | 'redis-server' | 'ceph'} Need
 * @typedef {Record<string, string | undefined>} Environment
 * @typedef {object} Target
 * @property {(args: string[], env: Environment) => Need[]} needs
 * @property {(args: string[]) => string[]} command
 */

/** @type {Need[]} */
const everything = ['postgres-server', 'postgres-client', 'redis-server']

/** @param {string} script */
const tool = (script) => ({
  needs: () => everything,
  command: (/** @type {string[]} */ args) => [`scripts/${script}`, ...args],
})

/**
 * A command of the product.
 * @param {string[]} first
 * @param {Target['needs']} [needs]
 * @returns {Target}
 */
const product = (first, needs) => ({
  needs: needs ?? ((args, env) => needsOfCommand(first[0] ?? args[0], env)),
  command: (args) => ['apps/cli/src/main.ts', ...first, ...args],
})

/**
 * @param {string} module
 * @returns {Target}
 */
const module = (module, /** @type {string[]} */ ...first) => ({
  needs: () => [],
  command: (args) => [`node_modules/${module}`, ...first, ...args],
})

/** @type {Record<string, Target>} */
export const targets = {
  cli: product([]),
  demo: product(['demo']),
  start: product(['start']),
  backup: product(['backup']),
  'backup:start': product(['producer']),
  'backup:status': product(['status']),
  'backup:health': product(['health']),
  'backup:schedule': product(['schedule']),
  'backup:restore': product(['restore']),
  'enqueue-job': product(['enqueue-job']),
  test: {
    ...tool('test.mjs'),
    needs: (args) => (args.includes('--full') ? [...everything, 'ceph'] : everything),
  },
  'test:contract': { ...tool('test-contract.mjs'), needs: () => [...everything, 'ceph'] },
  'test:kill': tool('test-kill.mjs'),
  check: tool('check.mjs'),
  bench: { needs: () => everything, command: (args) => ['bench/main.ts', ...args] },
  lint: module('eslint/bin/eslint.js', '.'),
  format: module('prettier/bin/prettier.cjs', '--write', '.'),
  typecheck: module('typescript/bin/tsc', '-p', '.'),
}

/**
 * A backup and the service bring their own Redis unless one is named; a restore wants PostgreSQL's tools only.
 * @param {string | undefined} command
 * @param {Environment} env
 * @returns {Need[]}
 */
function needsOfCommand(command, env) {
  if (command === 'demo') return everything
  if (command === 'start' || command === 'backup') {
    return env['REDIS_URL'] || env['REDIS_URL_FILE']
      ? ['postgres-client']
      : ['postgres-client', 'redis-server']
  }
  const withTools = ['restore', 'worker', 'init', 'source', 'config']
  if (command !== undefined && withTools.includes(command)) return ['postgres-client']
  return []
}
