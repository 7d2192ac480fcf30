import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { withoutRestrictions } from './restrictions.ts'

const title = '--\n-- PostgreSQL database dump\n--\n\n'
const body = 'SET x = 0;\nSELECT 1;\n'.repeat(100)
const end = '--\n-- PostgreSQL database dump complete\n--\n\n'

async function without(text: string, sizes: readonly number[] = [text.length]): Promise<string> {
  async function* chunks() {
    let at = 0
    for (let turn = 0; at < text.length; turn += 1) {
      const size = sizes[turn % sizes.length] ?? 1
      yield await Promise.resolve(Buffer.from(text.slice(at, at + size)))
      at += size
    }
  }
  let rest = ''
  for await (const chunk of withoutRestrictions(chunks())) rest += Buffer.from(chunk).toString()
  return rest
}

describe('a script without its restrictions', () => {
  it('loses the two lines of pg_dump and nothing else, in any chunking', async () => {
    const script = `${title}\\restrict aB3\n\n${body}${end}\\unrestrict aB3\n\n`
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 }),
        async (sizes) => {
          expect(await without(script, sizes)).toBe(`${title}\n${body}${end}\n`)
        },
      ),
    )
  })

  it.each([
    ['has none', `${title}${body}${end}`],
    ['is short', 'SELECT 1;\n'],
    ['is empty', ''],
    ['says so only after SQL began', `${title}SELECT 1;\n\\restrict aB3\n${body}\\unrestrict aB3\n`],
    ['ends a restriction that did not begin', `${title}${body}\\unrestrict aB3\n`],
  ])('is what it was when it %s', async (_title, script) => {
    expect(await without(script, [7])).toBe(script)
  })

  it('of one chunk loses both lines, too', async () => {
    expect(await without(`\\restrict a1\nSELECT 1;\n\\unrestrict a1\n`)).toBe('SELECT 1;\n')
  })
})
