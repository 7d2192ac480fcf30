import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { byThreads, diskBelow } from './near.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 't-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

describe('a disk', () => {
  it.each([
    ['of this machine', () => diskBelow(directory)],
    ['of whatever kind', () => Promise.resolve(byThreads)],
  ])('%s shows names and facts, and takes and gives back short and long files', async (_, disk) => {
    const { open, write, close, read, stat, names } = await disk()
    for (const [name, length] of [
      ['empty', 0],
      ['short', 1000],
      ['long', 300_000],
    ] as const) {
      const path = join(directory, name)
      const content = Buffer.alloc(length, name)
      const file = await open(path, 'wx', 0o600)
      let rest: Uint8Array = content
      while (rest.length > 0) rest = rest.subarray(await write(file, rest))
      await close(file)
      expect((await read(path)).equals(content)).toBe(true)
      expect(await stat(path)).toMatchObject({ size: length })
    }
    expect((await names(directory)).map(({ name }) => name).sort()).toEqual(['empty', 'long', 'short'])
    await expect(open(join(directory, 'short'), 'wx')).rejects.toMatchObject({ code: 'EEXIST' })
    const missing = join(directory, 'missing')
    for (const look of [read, stat, names, (path: string) => open(path, 'r')])
      await expect(look(missing)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('that is not one of this machine, or not there yet, is never waited for by everything else', async () => {
    expect(await diskBelow('/proc')).toBe(byThreads)
    expect(await diskBelow(join(directory, 'not-there'))).toBe(byThreads)
  })

  it('lets everything else have its turn while many files are looked at', async () => {
    const path = join(directory, 'file')
    await writeFile(path, 'x')
    const disk = await diskBelow(directory)
    let turns = 0
    const count = () => {
      turns += 1
      turning = setImmediate(count)
    }
    let turning = setImmediate(count)
    for (let look = 0; look < 1000; look++) await disk.stat(path)
    clearImmediate(turning)
    expect(turns).toBeGreaterThanOrEqual(5)
  })
})
