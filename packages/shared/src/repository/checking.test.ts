import { randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import { type ListEntry, SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import {
  content,
  indexOf,
  source,
  testRepository,
  type TestRepository,
} from '../../../../test/helpers/repository.ts'
import { BackupReader, checkBackup, layout, type OpenManifest } from './index.ts'

const day = 24 * 60 * 60 * 1000
const now = new Date('2026-11-23T12:00:00Z')
const signal = new AbortController().signal
let repository: TestRepository
let opened: OpenManifest
let index: SegmentIndex
/** Keys of the segments that were read back. */
let read: Set<string>
let watched: Storage

beforeAll(async () => {
  repository = await testRepository()
  opened = await repository.backUp({
    run: 'shop.20261123T020000Z.0001',
    streams: { archive: content(60), globals: randomBytes(10) },
  })
  index = await indexOf(repository.storage, opened)
})
afterAll(async () => {
  await repository[Symbol.asyncDispose]()
})
beforeEach(() => {
  read = new Set()
  const { storage } = repository
  watched = {
    ...storage,
    get: (key) => {
      if (!opened.manifest.streams.some(({ list }) => list.some(({ id }) => key.endsWith(id)))) read.add(key)
      return storage.get(key)
    },
  }
})

const check = (options: { predecessor?: SegmentIndex; full?: boolean; now?: Date } = {}, storage = watched) =>
  checkBackup(storage, new BackupReader(storage, opened), {
    predecessor: options.predecessor,
    full: options.full ?? false,
    now: options.now ?? now,
    signal,
  })

async function damaged(
  entry: ListEntry,
  damage: (bytes: Buffer) => Buffer | undefined,
  work: () => Promise<void>,
): Promise<void> {
  const path = repository.pathOf({ segment: entry.id })
  const bytes = await readFile(path)
  const bad = damage(bytes)
  await (bad === undefined ? rm(path) : writeFile(path, bad))
  try {
    await work()
  } finally {
    await writeFile(path, bytes)
  }
}
const flip = (bytes: Buffer) => {
  const flipped = Buffer.from(bytes)
  flipped[100] = (flipped[100] ?? 0) ^ 1
  return flipped
}
const one = (place = 0) => [...index][place] as ListEntry

describe('checking a backup', () => {
  it('opens everything that the backup before did not name', async () => {
    const checked = await check()
    expect(checked).toMatchObject({ opened: index.size, listed: 0 })
    expect(checked.bytes).toBe([...index].reduce((sum, { sealedLength }) => sum + sealedLength, 0))
    const known = new SegmentIndex()
    for (const entry of [...index].slice(0, 5)) known.add(entry)
    const { opened: openedNow, listed } = await check({ predecessor: known })
    expect(openedNow).toBeGreaterThanOrEqual(index.size - 5)
    expect(openedNow + listed).toBe(index.size)
  })

  it('opens every segment that it only references once in thirty days, whatever the first day', async () => {
    for (const start of [0, 11, 29]) {
      const seen: string[] = []
      for (let offset = 0; offset < 30; offset++) {
        read.clear()
        await check({ predecessor: index, now: new Date(now.getTime() + (start + offset) * day) })
        seen.push(...read)
      }
      const referenced = [...index].map(({ id }) => layout.segment(source, id)).filter((key) => !isList(key))
      expect(seen.sort()).toEqual(referenced.sort())
    }
  })

  it('opens everything, and reads every stream to its end, when it is to be full', async () => {
    expect((await check({ predecessor: index, full: true })).opened).toBe(index.size)
    const archive = opened.manifest.streams.find(({ kind }) => kind === 'archive')
    const wrong = {
      ...opened,
      manifest: { ...opened.manifest, streams: [{ ...archive, digest: '0'.repeat(64) }] },
    } as OpenManifest
    const options = { predecessor: index, full: true, now, signal }
    const reader = new BackupReader(watched, wrong)
    await expect(checkBackup(watched, reader, options)).rejects.toMatchObject({ code: 'STREAM_DAMAGED' })
    await checkBackup(watched, reader, { ...options, full: false })
  })

  it.each<[string, (bytes: Buffer) => Buffer | undefined, string]>([
    ['missing', () => undefined, 'SEGMENT_MISSING'],
    ['cut off', (bytes) => bytes.subarray(0, -1), 'SEGMENT_TRUNCATED'],
    ['altered and longer', (bytes) => Buffer.concat([flip(bytes), Buffer.alloc(1)]), 'SEGMENT_TAMPERED'],
  ])('finds a referenced segment that is %s on any day', async (_, damage, code) => {
    await damaged(one(2), damage, async () => {
      for (const offset of [0, 1, 17]) {
        const later = new Date(now.getTime() + offset * day)
        await expect(check({ predecessor: index, now: later })).rejects.toMatchObject({ code })
      }
    })
  })

  it('finds a flipped bit in what is new at once, and in what is referenced on its day', async () => {
    await damaged(one(3), flip, async () => {
      await expect(check()).rejects.toMatchObject({
        code: 'SEGMENT_TAMPERED',
        message: expect.stringContaining(one(3).id.toString('hex')),
      })
      const outcomes = await Promise.all(
        Array.from({ length: 30 }, (_, offset) =>
          check({ predecessor: index, now: new Date(now.getTime() + offset * day) }).then(
            () => 'passed',
            (error: unknown) => (error as BackupError).code,
          ),
        ),
      )
      expect(outcomes.filter((outcome) => outcome !== 'passed')).toEqual(['SEGMENT_TAMPERED'])
    })
  })

  it('counts how many are bad', async () => {
    await damaged(one(2), flip, () =>
      damaged(one(3), flip, () =>
        damaged(one(4), flip, async () => {
          await expect(check()).rejects.toThrow(/So are 2 more\.$/)
        }),
      ),
    )
  })

  it('opens a segment of another size, and passes it if it is an equal one', async () => {
    const plain = await new BackupReader(watched, opened).segment(one(2))
    const { sealer } = new BackupReader(watched, opened)
    const padded = sealer.seal(one(2).id, { compression: 0, bytes: plain }, plain.length, 'aes-256-cbc')
    expect(padded.length).not.toBe(one(2).sealedLength)
    await damaged(
      one(2),
      () => padded,
      async () => {
        read.clear()
        await check({ predecessor: index })
        expect(read).toContain(layout.segment(source, one(2).id))
      },
    )
  })

  it('does not take an unreachable store for a bad segment', async () => {
    const down: Storage = {
      ...watched,
      get: (key) =>
        key === layout.segment(source, one(2).id)
          ? Promise.reject(new BackupError('STORAGE_UNREACHABLE', 'Down.'))
          : watched.get(key),
    }
    await expect(check({}, down)).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  })
})

function isList(key: string): boolean {
  return opened.manifest.streams.some(({ list }) => list.some(({ id }) => key.endsWith(id)))
}
