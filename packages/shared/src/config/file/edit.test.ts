import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { parse } from 'yaml'
import { withEntry } from './edit.ts'

const entry = { url: 'postgresql://a@h/d', schedule: ['@daily'] }

describe('an entry that is added to a configuration file', () => {
  it('leaves every byte of what is there, in the indentation of its siblings', () => {
    const before = [
      '# top\ndefaults:\n    retention: { days:   14 } # odd\n',
      'sources:\n    # the shop\n    shop:\n        url: "postgresql://x"  # note\n\n    crm: {server: main,   database: c} # two\n',
      '# end\n\nlimits:\n    runs: 3\n',
    ]
    const added = '    wiki:\n        url: postgresql://a@h/d\n        schedule:\n            - "@daily"\n'
    expect(withEntry(before.join(''), 'sources', 'wiki', entry)).toBe(
      [before[0], before[1], added, before[2]].join(''),
    )
  })

  it.each([
    ['is empty', '', 'sources:\n  wiki:\n'],
    ['has only remarks', '# nothing yet\n', '# nothing yet\nsources:\n  wiki:\n'],
    [
      'lacks a last newline',
      'defaults: { timeZone: UTC }',
      'defaults: { timeZone: UTC }\nsources:\n  wiki:\n',
    ],
    ['has an empty section', 'sources:\n', 'sources:\n  wiki:\n'],
    ['has an empty map there', 'sources: {} # none\n', 'sources:'],
    ['has a flow map there', 'sources: { a: { url: u } }\n', 'sources:'],
    ['has a document mark', '---\nlimits: { runs: 2 }\n...\n', '---\n'],
  ])('finds its place where the file %s', (_, before, beginning) => {
    const after = withEntry(before, 'sources', 'wiki', entry)
    expect(after.startsWith(beginning)).toBe(true)
    const was = (parse(before) ?? {}) as { sources?: object | null }
    expect(parse(after)).toEqual({ ...was, sources: { ...was.sources, wiki: entry } })
  })

  it('means what was there and itself, whatever the names and values', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 })
    const sources = fc.dictionary(fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/), fc.record({ url: text }), {
      maxKeys: 4,
    })
    fc.assert(
      fc.property(sources, text, (all, url) => {
        const whole = Object.entries(all).reduce(
          (file, [name, one]) => withEntry(file, 'sources', name, one),
          '',
        )
        expect(parse(withEntry(whole, 'destinations', 'd', { url }))).toEqual({
          ...(Object.keys(all).length === 0 ? {} : { sources: all }),
          destinations: { d: { url } },
        })
      }),
    )
  })

  it('is refused where one of that name is', () => {
    expect(() => withEntry('sources: { wiki: { url: u } }\n', 'sources', 'wiki', entry)).toThrow(
      'There is “wiki” already, under sources.',
    )
    expect(() => withEntry('sources: [\n', 'sources', 'wiki', entry)).toThrow('no YAML')
  })
})
