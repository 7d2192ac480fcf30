import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import {
  createFileDurably,
  ensureDirectory,
  exists,
  freeSpace,
  isTemporaryName,
  removeFileDurably,
  removeTemporaries,
  temporaryName,
  writeFileDurably,
} from './index.ts'

let directory: string
const at = (...names: string[]) => join(directory, ...names)

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 't-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

describe('a durable write', () => {
  it('replaces, whole, with mode 0600', async () => {
    await writeFile(at('file'), 'before', { mode: 0o644 })
    await writeFileDurably(at('file'), 'after')
    expect(await readFile(at('file'), 'utf8')).toBe('after')
    expect(((await stat(at('file'))).mode & 0o777).toString(8)).toBe('600')
  })

  it('leaves nothing beside the file, also when it cannot take the name', async () => {
    await mkdir(at('taken', 'inside'), { recursive: true })
    await writeFileDurably(at('file'), 'text')
    await expect(writeFileDurably(at('taken'), 'text')).rejects.toMatchObject({ code: 'EISDIR' })
    expect((await readdir(directory)).sort()).toEqual(['file', 'taken'])
  })
})

describe('a durable creation', () => {
  it('says whether it was the first, and never replaces', async () => {
    expect(await createFileDurably(at('file'), 'first')).toBe(true)
    expect(await createFileDurably(at('file'), 'second')).toBe(false)
    expect(await readFile(at('file'), 'utf8')).toBe('first')
    expect(await readdir(directory)).toEqual(['file'])
  })

  it('has one winner among many', async () => {
    const won = await Promise.all(
      Array.from({ length: 20 }, (_, n) => createFileDurably(at('file'), String(n))),
    )
    expect(won.filter((win) => win)).toHaveLength(1)
    expect(await readFile(at('file'), 'utf8')).toBe(String(won.indexOf(true)))
  })
})

describe('a durable removal', () => {
  it('removes a file, and takes one that is gone for success', async () => {
    await writeFile(at('file'), '')
    await removeFileDurably(at('file'))
    await removeFileDurably(at('file'))
    expect(await exists(at('file'))).toBe(false)
  })

  it('does not remove a directory', async () => {
    await mkdir(at('inside'))
    await expect(removeFileDurably(at('inside'))).rejects.toThrow()
  })
})

describe('directories', () => {
  it('are made with their parents, private, and may be there already', async () => {
    await ensureDirectory(at('a', 'b', 'c'))
    await ensureDirectory(at('a', 'b', 'c'))
    for (const path of ['a', 'a/b', 'a/b/c'])
      expect(((await stat(at(path))).mode & 0o777).toString(8)).toBe('700')
  })

  it('are not made below a file', async () => {
    await writeFile(at('file'), '')
    await expect(ensureDirectory(at('file', 'below'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    expect(await exists(at('file', 'below'))).toBe(false)
  })
})

it('knows its temporary names, and makes another each time', () => {
  expect(temporaryName('/a/b')).not.toBe(temporaryName('/a/b'))
  expect(isTemporaryName(temporaryName('/a/b'))).toBe(true)
  expect(isTemporaryName('/a/b')).toBe(false)
  expect(isTemporaryName('/a/b.tmp-of-mine')).toBe(false)
})

describe('unfinished files', () => {
  const now = new Date('2026-11-23T12:00:00Z')
  const hours = (count: number) => new Date(now.getTime() - count * 60 * 60 * 1000)
  const lay = async (name: string, age: Date) => {
    await writeFile(at(name), 'half')
    await utimes(at(name), age, age)
  }

  it('are removed once nobody has written to them for a day, and nothing else is', async () => {
    await lay('a.tmp-0123456789ab', hours(25))
    await lay('b.tmp-0123456789ab', hours(23))
    await lay('c.tmp-by-hand', hours(1000))
    await lay('whole', hours(1000))
    await mkdir(at('d.tmp-0123456789ab'))
    await utimes(at('d.tmp-0123456789ab'), hours(1000), hours(1000))
    expect(await removeTemporaries(directory, now)).toBe(1)
    expect((await readdir(directory)).sort()).toEqual([
      'b.tmp-0123456789ab',
      'c.tmp-by-hand',
      'd.tmp-0123456789ab',
      'whole',
    ])
  })

  it('of one name are removed without those of others', async () => {
    await lay('shop.dump.tmp-0123456789ab', hours(25))
    await lay('shop.dump.old.tmp-0123456789ab', hours(25))
    expect(await removeTemporaries(directory, now, 'shop.dump')).toBe(1)
    expect(await readdir(directory)).toEqual(['shop.dump.old.tmp-0123456789ab'])
  })

  it('of a directory that is not there are none', async () => {
    expect(await removeTemporaries(at('nowhere'), now)).toBe(0)
  })
})

it('tells the free space in bytes', async () => {
  expect(await freeSpace(directory)).toBeGreaterThan(1024 * 1024)
})
