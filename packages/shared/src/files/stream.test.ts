import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeStreamDurably } from './index.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 't-'))
})
afterEach(() => rm(directory, { recursive: true }))

async function* parts(...texts: string[]) {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text))
}

describe('a stream that is written durably', () => {
  it('is there as a whole, for its owner only', async () => {
    const path = join(directory, 'file')
    expect(await writeStreamDurably(path, parts('one ', 'two'), { replace: false })).toBe(true)
    expect(await readFile(path, 'utf8')).toBe('one two')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(directory)).toEqual(['file'])
  })

  it.each([
    [false, 'old'],
    [true, 'new'],
  ])('replaces what is there if that is asked for: %s', async (replace, content) => {
    const path = join(directory, 'file')
    await writeFile(path, 'old')
    expect(await writeStreamDurably(path, parts('new'), { replace })).toBe(replace)
    expect(await readFile(path, 'utf8')).toBe(content)
    expect(await readdir(directory)).toEqual(['file'])
  })

  it('leaves nothing, and what was there, when it fails half-way', async () => {
    async function* failing() {
      yield* parts('half')
      throw new Error('the source is gone')
    }
    const path = join(directory, 'file')
    await expect(writeStreamDurably(path, failing(), { replace: true })).rejects.toThrow('the source is gone')
    expect(await readdir(directory)).toEqual([])
  })
})
