// Everything that must hold before a change is good, in the order in which it fails fastest. Stops at the first failure.
import { spawnSync } from 'node:child_process'
import { root } from './set-up/root.mjs'

/** @type {[string, string[]][]} */
const steps = [
  ['Formatting', ['node_modules/prettier/bin/prettier.cjs', '--check', '.']],
  ['Types', ['node_modules/typescript/bin/tsc', '-p', '.']],
  ['Lint', ['node_modules/eslint/bin/eslint.js', '.', '--max-warnings', '0']],
  [
    'Import direction',
    [
      'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs',
      'apps',
      'packages',
      'test',
      'scripts',
      'bench',
    ],
  ],
  ['Dead code', ['node_modules/knip/bin/knip.js']],
  ['Tests', ['scripts/test.mjs']],
]

for (const [name, command] of steps) {
  console.log(`\n== ${name}`)
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' })
  if (status !== 0) {
    console.error(`\n${name}: failed.`)
    process.exitCode = status ?? 1
    break
  }
}
