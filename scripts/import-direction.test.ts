import { expect, it } from '@jest/globals'
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { temporaryDirectory } from '../test/helpers/temporary-directory.ts'

const checkout = resolve(import.meta.dirname, '..')

it('refuses each import that goes up, sideways or past a door', async () => {
  const rules = await violationsOf({
    'packages/shared/src/errors/index.ts': "export type { B } from '@securyflex/shared/config'",
    'packages/shared/src/config/index.ts': 'export type B = 1',
    'packages/shared/src/files/files.ts': 'export const files = 1',
    'packages/shared/src/queue/index.ts': 'export const queue = 1',
    'packages/shared/src/storage/index.ts': "import '@securyflex/shared/queue'\nimport '../files/files.ts'",
    'packages/shared/src/postgres/index.ts': 'export const postgres = 1',
    'packages/shared/src/utils/index.ts': 'export const junk = 1',
    'packages/shared/src/backup/index.ts': "import '@securyflex/shared/utils'",
    'apps/cli/src/list.ts': "import '../../producer/src/plan.ts'\nimport './circle.ts'",
    'apps/cli/src/circle.ts': "import './list.ts'",
    'apps/producer/src/plan.ts': "import '@securyflex/shared/postgres'\nimport './missing.ts'",
    'apps/worker/src/run.ts': "import '../../producer/src/plan.ts'\nimport '../../../test/helpers/fake.ts'",
    'test/helpers/fake.ts': "import '../../packages/shared/src/files/files.ts'",
  })
  expect(rules).toEqual([
    'apps-apart',
    'cli-starts-apps',
    'floor-0-errors',
    'floor-2-storage',
    'known-rooms',
    'no-circles',
    'only-worker-and-cli-work',
    'product-without-tests',
    'resolvable',
    'rooms-by-name',
    'rooms-by-their-door-from-outside',
    'rooms-by-their-door-from-rooms',
  ])
})

it('lets the worker open every floor through its door', async () => {
  const rules = await violationsOf({
    'packages/shared/src/postgres/index.ts': "import '@securyflex/shared/errors'\nimport './own.ts'",
    'packages/shared/src/postgres/own.ts': 'export const own = 1',
    'packages/shared/src/errors/index.ts': 'export const errors = 1',
    'apps/worker/src/run.ts': "import '@securyflex/shared/postgres'\nimport '@securyflex/shared/errors'",
  })
  expect(rules).toEqual([])
})

/** Names of the rules that these files break, sorted. */
async function violationsOf(files: Record<string, string>): Promise<string[]> {
  await using directory = await temporaryDirectory()
  const put = (name: string, text: string): void => {
    mkdirSync(dirname(directory.join(name)), { recursive: true })
    writeFileSync(directory.join(name), text)
  }
  const shared = { name: '@securyflex/shared', type: 'module', exports: { './*': './src/*/index.ts' } }
  put('package.json', '{ "type": "module" }')
  put('tsconfig.json', '{ "compilerOptions": { "module": "nodenext", "allowImportingTsExtensions": true } }')
  put('packages/shared/package.json', JSON.stringify(shared))
  for (const app of ['cli', 'producer', 'worker']) {
    put(`apps/${app}/package.json`, JSON.stringify({ dependencies: { '@securyflex/shared': '0.1.0' } }))
  }
  for (const [name, text] of Object.entries(files)) put(name, text)
  mkdirSync(directory.join('node_modules/@securyflex'), { recursive: true })
  symlinkSync('../../packages/shared', directory.join('node_modules/@securyflex/shared'))
  const depcruise = resolve(checkout, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs')
  const config = ['--config', resolve(checkout, '.dependency-cruiser.cjs'), '--output-type', 'json']
  const folders = [...new Set(Object.keys(files).map((name) => name.split('/')[0] ?? ''))]
  const { stdout, stderr } = spawnSync(process.execPath, [depcruise, ...config, ...folders], {
    cwd: directory.path,
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  const { summary } = JSON.parse(stdout) as { summary: { violations: { rule: { name: string } }[] } }
  return [...new Set(summary.violations.map(({ rule }) => rule.name))].sort()
}
