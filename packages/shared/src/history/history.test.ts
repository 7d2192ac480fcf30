import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import { encodeDocument, layout } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import {
  keyRing,
  noKeys,
  source,
  testRepository,
  type TestRepository,
} from '../../../../test/helpers/repository.ts'
import { findReports, readReport, type RunReport, writeReport } from './index.ts'

const runs = [
  'shop.20261121T020000Z.0001',
  'shop.20261122T020000Z.0002',
  'shop.20261123T020000Z.0003',
] as const
let repository: TestRepository

beforeEach(async () => {
  repository = await testRepository()
  // Makes it a repository with a key.
  await repository.backUp({ run: runs[0], streams: {} })
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

const report = (changes: Partial<RunReport> = {}): RunReport => ({
  format: 1,
  kind: 'run',
  run: runs[2],
  source,
  outcome: 'success',
  requestedBy: 'test',
  requestedAt: '2026-11-23T02:00:00.000Z',
  startedAt: '2026-11-23T02:00:01.000Z',
  finishedAt: '2026-11-23T02:01:00.000Z',
  bytes: 1000,
  durations: { total: 59 },
  destinations: [{ name: 'local', outcome: 'verified', stored: { segments: 1, bytes: 500 } }],
  notifications: [{ channel: 'log', delivered: true }],
  warnings: [],
  overlaps: 0,
  generation: 0,
  ...changes,
})
const pathOf = (run: string) => join(repository.directory, layout.report(source, run))
const read = (keys = repository.keys) => readReport(repository.storage, source, runs[2], keys)

describe('a report', () => {
  it('is read as it was written, and replaced by a later one', async () => {
    expect(await writeReport([repository.storage], report({ outcome: 'running' }), repository.keys)).toEqual(
      [],
    )
    expect(await writeReport([repository.storage], report(), repository.keys)).toEqual([])
    expect(await read()).toEqual(report())
    expect(await readReport(repository.storage, source, runs[1], repository.keys)).toBeUndefined()
  })

  it('is signed with the key of the repository', async () => {
    await writeReport([repository.storage], report(), repository.keys)
    expect(await readFile(pathOf(runs[2]), 'utf8')).toContain('hmac-sha256')
    const altered = (await readFile(pathOf(runs[2]), 'utf8')).replace('"success"', '"failed"')
    await writeFile(pathOf(runs[2]), altered)
    await expect(read()).rejects.toMatchObject({ code: 'MANIFEST_DAMAGED' })
  })

  it('is signed with a previous key where the current one has no record yet', async () => {
    const rotated = keyRing(undefined, repository.secret ?? '')
    await writeReport([repository.storage], report(), rotated)
    expect(await readFile(pathOf(runs[2]), 'utf8')).toContain('hmac-sha256')
    expect(await read()).toEqual(report())
  })

  it('is refused with a wrong key, and read without any', async () => {
    await writeReport([repository.storage], report(), repository.keys)
    await expect(read(keyRing())).rejects.toMatchObject({ code: 'KEY_WRONG' })
    expect(await read(noKeys())).toEqual(report())
  })

  it('has a checksum where nothing is encrypted', async () => {
    await writeReport([repository.storage], report(), noKeys())
    expect(await readFile(pathOf(runs[2]), 'utf8')).toContain('"algorithm":"sha256"')
    expect(await read(noKeys())).toEqual(report())
    await writeFile(
      pathOf(runs[2]),
      (await readFile(pathOf(runs[2]), 'utf8')).replace('"success"', '"failed"'),
    )
    await expect(read(noKeys())).rejects.toMatchObject({ code: 'MANIFEST_DAMAGED' })
  })

  it('goes to every store that takes it, and the others are named with the reason', async () => {
    await using other = await testRepository('none')
    const full: Storage = {
      ...repository.storage,
      put: () => Promise.reject(new BackupError('STORAGE_FULL', 'There is no space left.')),
      until: () => full,
    }
    const problems = await writeReport([full, other.storage, repository.storage], report(), repository.keys)
    expect(problems).toEqual([{ storage: full, why: 'There is no space left.' }])
    expect(await read()).toEqual(report())
    expect(await readReport(other.storage, source, runs[2], noKeys())).toEqual(report())
  })
})

describe('the reports of a source', () => {
  const found = async (most?: number) => {
    const list = []
    for await (const one of findReports(repository.storage, source, repository.keys, most)) list.push(one)
    return list
  }

  beforeEach(async () => {
    for (const run of runs) await writeReport([repository.storage], report({ run }), repository.keys)
  })

  it('are given newest first, as many as asked for', async () => {
    expect((await found()).map(({ run }) => run)).toEqual([...runs].reverse())
    expect((await found(2)).map(({ run }) => run)).toEqual([runs[2], runs[1]])
    await repository.storage.put('shop/runs/notes.txt', Buffer.from('x'))
    expect(await found()).toHaveLength(3)
  })

  it.each<[string, () => Buffer | Promise<Buffer>]>([
    ['cut off', async () => (await readFile(pathOf(runs[1]))).subarray(0, -30)],
    ['empty', () => Buffer.alloc(0)],
    [
      'something else',
      () => encodeDocument(layout.report(source, runs[1]), { format: 1, kind: 'proof' }, undefined),
    ],
    [
      'one of a newer format',
      () => encodeDocument(layout.report(source, runs[1]), { ...report(), format: 2, key: null }, undefined),
    ],
    ['one of another run', () => readFile(pathOf(runs[0]))],
  ])('are given with a problem where one is %s, and do not hide the others', async (_, bad) => {
    await writeFile(pathOf(runs[1]), await bad())
    const list = await found()
    expect(list.map(({ report: good }) => good?.run)).toEqual([runs[2], undefined, runs[0]])
    expect(list[1]).toEqual({ run: runs[1], problem: expect.stringContaining(runs[1]) })
  })

  it('are not taken for unreadable while the store does not answer', async () => {
    const down: Storage = {
      ...repository.storage,
      get: () => Promise.reject(new BackupError('STORAGE_UNREACHABLE', 'Down.')),
    }
    const list = async () => {
      for await (const one of findReports(down, source, repository.keys)) expect(one).toBeUndefined()
    }
    await expect(list()).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  })
})
