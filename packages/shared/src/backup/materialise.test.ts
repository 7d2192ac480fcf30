import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { materialise } from './materialise.ts'

let directory: TemporaryDirectory
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => directory.remove())

async function* parts(...texts: string[]) {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text))
}

describe('an archive in a file', () => {
  it('is for its owner only, and gone when it is not needed any more', async () => {
    {
      await using file = await materialise(parts('one ', 'two'), 7, directory.join('spool', 'restores'))
      expect(await readFile(file.path, 'utf8')).toBe('one two')
      expect(file.offsets).toBe(false)
      expect((await stat(file.path)).mode & 0o777).toBe(0o600)
      expect((await stat(dirname(file.path))).mode & 0o777).toBe(0o700)
    }
    expect(await readdir(directory.join('spool', 'restores'))).toEqual([])
  })

  it('is not begun where there is no room for it', async () => {
    const attempt = materialise(parts('x'), 2 ** 60, directory.path)
    await expect(attempt).rejects.toMatchObject({
      code: 'STORAGE_FULL',
      hint: expect.stringMatching(/--jobs/),
    })
    expect(await readdir(directory.path)).toEqual([])
  })

  it('leaves nothing when its source fails', async () => {
    async function* failing() {
      yield* parts('half')
      throw new Error('a segment is missing')
    }
    await expect(materialise(failing(), 4, directory.path)).rejects.toThrow('a segment is missing')
    expect(await readdir(directory.path)).toEqual([])
  })

  it('removes what a killed process left, and nothing else', async () => {
    const child = spawn('true')
    await once(child, 'exit')
    const left = `${hostname()}.${String(child.pid)}.0123abcd`
    const kept = [`${hostname()}.${String(process.pid)}.0123abcd`, 'another-host.1.0123abcd', 'runs']
    for (const name of [left, ...kept]) await mkdir(directory.join(name))
    await writeFile(directory.join(left, 'archive'), 'rows')
    await (await materialise(parts('x'), 1, directory.path))[Symbol.asyncDispose]()
    expect((await readdir(directory.path)).sort()).toEqual(kept.sort())
  })

  it('names a directory that cannot be written', async () => {
    await writeFile(directory.join('file'), '')
    const attempt = materialise(parts('x'), 1, directory.join('file', 'restores'))
    await expect(attempt).rejects.toMatchObject({ code: 'SPOOL_UNUSABLE' })
  })
})
