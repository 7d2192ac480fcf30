import { expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { targets } from './targets.mjs'

const scripts = (JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> })
  .scripts

it('knows the target of every npm script', () => {
  const named = Object.values(scripts).map((line) => / scripts\/run\.mjs (\S+)/.exec(line)?.[1] ?? line)
  expect(named.filter((name) => !(name in targets))).toEqual([])
})

it.each([
  ['backup', {}, ['postgres-client', 'redis-server']],
  ['backup', { REDIS_URL: 'redis://elsewhere' }, ['postgres-client']],
  ['backup:restore', {}, ['postgres-client']],
  ['backup:status', {}, []],
])('asks of the system for %s with %j only %j', (name, env, needs) => {
  expect(targets[name]?.needs([], env)).toEqual(needs)
})

it('asks for an S3 server only where its suite is run', () => {
  expect(targets['test']?.needs([], {})).not.toContain('ceph')
  expect(targets['test']?.needs(['--full'], {})).toContain('ceph')
  expect(targets['test:contract']?.needs([], {})).toContain('ceph')
})
