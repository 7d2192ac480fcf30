import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { groupOf, leavesOut, loadConfig, memberName, memberOf, requireSource, settingsOf } from './index.ts'
import type { Config } from './index.ts'
import { temporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'

const base = loadConfig({ env: { DATABASE_URL: 'postgresql://ann:planted@db:6432/shop' }, needs: [] })
const [shop] = base.sources
if (shop === undefined) throw new Error('DATABASE_URL describes a source.')
const fleet = { ...shop, name: 'fleet', withoutDatabases: ['scratch*', 'a?c', '[x].$'] }
const config: Config = { ...base, sources: [{ ...shop, name: 'single' }], groups: [fleet] }

describe('the name of a group’s database', () => {
  it.each([
    ['crm', /^fleet-crm$/],
    ['Big_Data-2', /^fleet-Big_Data-2$/],
    ['odd name', /^fleet-odd-name-[0-9a-f]{8}$/],
    ['like-a0b1c2d3', /^fleet-like-a0b1c2d3-[0-9a-f]{8}$/],
    ['ünïcode😀', /^fleet--n-code--[0-9a-f]{8}$/],
    ['x'.repeat(58), /^fleet-x{58}$/],
    ['x'.repeat(59), /^fleet-x{49}-[0-9a-f]{8}$/],
  ])('%s ends with a hash of it where something had to be replaced', (database, expected) => {
    expect(memberName('fleet', database)).toMatch(expected)
  })

  it('is a source’s name, always the same, never that of two, and leads back to the group', () => {
    const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 63, unit: 'grapheme' }), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(names, (databases) => {
        const found = databases.map((database) => memberName('fleet', database))
        expect(new Set(found).size).toBe(databases.length)
        for (const [index, name] of found.entries()) {
          expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
          expect(groupOf(config, name)).toBe(fleet)
          expect(memberName('fleet', databases[index] ?? '')).toBe(name)
        }
      }),
    )
  })
})

describe('a database of a group', () => {
  it('is a source with the group’s settings and a connection of its own', () => {
    expect(requireSource(config, 'fleet-crm')).toMatchObject({
      name: 'fleet-crm',
      connection: { database: 'crm', user: 'ann', shown: 'postgresql://ann@db:6432/crm' },
      server: fleet.server,
    })
    expect(settingsOf(config, 'fleet-crm')).toBe(fleet)
    expect(settingsOf(config, 'fleet')).toBe(fleet)
    expect(memberOf(fleet, 'crm')).not.toHaveProperty('withoutDatabases')
  })

  it('has the password that the password file has for it', async () => {
    await using directory = await temporaryDirectory()
    const lines = ['other:*:*:ann:no', 'db:6432:crm:ann:of\\:crm', 'db:*:my\\:db:ann:mine', '*:*:*:ann:usual']
    await writeFile(directory.join('pgpass'), `${lines.join('\n')}\n`, { mode: 0o600 })
    const sources = { fleet: { url: 'postgresql://ann@db:6432/postgres', database: '*' } }
    await writeFile(directory.join('backup.config.yaml'), JSON.stringify({ sources }))
    const read = (more: Record<string, string> = {}) => {
      const env = { PGPASSFILE: directory.join('pgpass'), ...more }
      const [group] = loadConfig({ env, directory: directory.path, needs: [] }).groups
      if (group === undefined) throw new Error('There is a group.')
      return ['postgres', 'crm', 'my:db'].map((name) => memberOf(group, name).connection.password?.reveal())
    }
    expect(read()).toEqual(['usual', 'of:crm', 'mine'])
    expect(read({ PGPASSWORD: 'given' })).toEqual(['given', 'given', 'given'])
  })

  it('whose name is hidden in a hash is found by its own', () => {
    const name = memberName('fleet', 'odd name')
    expect(requireSource(config, name, 'odd name').connection.database).toBe('odd name')
    expect(() => requireSource(config, name)).toThrow(expect.objectContaining({ code: 'SOURCE_UNKNOWN' }))
    expect(() => requireSource(config, name, 'another')).toThrow(
      expect.objectContaining({ code: 'SOURCE_UNKNOWN' }),
    )
  })

  it.each([
    ['scratch', true],
    ['scratch_7', true],
    ['my scratch', false],
    ['abc', true],
    ['ac', false],
    ['[x].$', true],
    ['x.$', false],
    ['scratch\n1', true],
  ])('%j is left out: %s', (database, out) => {
    expect(leavesOut(fleet, database)).toBe(out)
  })

  it('that is left out is refused with what to change', () => {
    expect(() => requireSource(config, 'fleet-scratch1')).toThrow(
      expect.objectContaining({
        code: 'SOURCE_UNKNOWN',
        message: expect.stringContaining('is left out of fleet'),
      }),
    )
  })

  it('and the group itself are no single source', () => {
    for (const name of ['fleet', 'flee', undefined]) {
      const only = { ...config, sources: [] }
      expect(() => requireSource(only, name)).toThrow(expect.objectContaining({ code: 'SOURCE_UNKNOWN' }))
    }
  })
})
