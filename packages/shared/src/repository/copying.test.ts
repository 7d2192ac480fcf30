import { readFile, rm, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { Cipher } from '@securyflex/shared/config'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import {
  content,
  indexOf,
  keyRing,
  source,
  testRepository,
  type TestRepository,
} from '../../../../test/helpers/repository.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import {
  BackupReader,
  checkBackup,
  copyBackup,
  layout,
  listRuns,
  prepareRepositories,
  readBackup,
  readInstallation,
} from './index.ts'

const now = new Date()
const signal = new AbortController().signal
const [monday, tuesday] = ['shop.20261123T020000Z.0001', 'shop.20261124T020000Z.0002'] as const
let repository: TestRepository
let directory: TemporaryDirectory
let far: Storage

async function begin(cipher: Cipher = 'aes-256-gcm') {
  repository = await testRepository(cipher)
  directory = await temporaryDirectory()
  far = await openStorage({ kind: 'local', name: 'far', directory: directory.path })
}

beforeEach(() => begin())
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
  await directory.remove()
})

const copy = (run: string = monday, keys = repository.keys) =>
  copyBackup({
    ...{ from: repository.storage, to: far, source, run, keys, installation: undefined, now, signal },
  })

async function bytesOf(storage: Storage, run: string): Promise<Buffer> {
  const reader = new BackupReader(storage, await readBackup(storage, source, run, repository.keys))
  const stream = reader.stream('archive')
  if (stream === undefined) throw new Error('no archive')
  return reader.readAll(stream)
}

const check = async (run: string) =>
  checkBackup(far, new BackupReader(far, await readBackup(far, source, run, repository.keys)), {
    predecessor: undefined,
    full: true,
    now,
    signal,
  })

describe('a copy of a backup', () => {
  it.each<Cipher>(['aes-256-gcm', 'aes-256-cbc', 'none'])(
    'is a whole backup where nothing was, with the cipher %s',
    async (cipher) => {
      await begin(cipher)
      const archive = content(20)
      await repository.backUp({ run: monday, streams: { archive, globals: Buffer.from('CREATE ROLE shop') } })
      const copied = await copy()
      expect(copied.fresh).toBe(true)
      await rm(repository.directory, { recursive: true })
      expect((await bytesOf(far, monday)).equals(archive)).toBe(true)
      expect((await readBackup(far, source, monday, repository.keys)).manifest).toMatchObject({
        destination: 'far',
        run: monday,
        predecessor: null,
      })
      await expect(check(monday)).resolves.toMatchObject({ listed: 0 })
    },
  )

  it('carries only what is not there, and fills gaps older than what is there', async () => {
    const first = content(20)
    const second = Buffer.concat([first, content(10)])
    await repository.backUp({ run: monday, streams: { archive: first } })
    await repository.backUp({ run: tuesday, streams: { archive: second } })
    expect((await copy(tuesday)).bytes).toBeGreaterThan(20_000_000)
    // The end of the first is cut where it ends.
    expect((await copy(monday)).segments).toBeLessThanOrEqual(1)
    expect(await listRuns(far, source)).toEqual([tuesday, monday])
    expect((await bytesOf(far, monday)).equals(first)).toBe(true)
    expect((await bytesOf(far, tuesday)).equals(second)).toBe(true)
    expect(await copy(monday)).toEqual({ fresh: false, segments: 0, bytes: 0 })
    await expect(check(monday)).resolves.toMatchObject({ listed: 0 })
  })

  it('bears the name and the key of the repository that it comes from, so that both go on as one', async () => {
    await repository.backUp({ run: monday, streams: { archive: content(1) } })
    await copy()
    expect(await readInstallation(far)).toBe(await readInstallation(repository.storage))
    const both = await prepareRepositories([far, repository.storage], repository.keys, {
      encrypted: true,
      installation: undefined,
      now,
    })
    expect(both.unusable.size).toBe(0)
  })

  it('ends where a segment is damaged, and leaves no manifest; it goes on once that is mended', async () => {
    const archive = content(20)
    const opened = await repository.backUp({ run: monday, streams: { archive } })
    const [, entry] = [...(await indexOf(repository.storage, opened))]
    if (entry === undefined) throw new Error('a single segment')
    const path = repository.pathOf({ segment: entry.id })
    const bytes = await readFile(path)
    const bad = Buffer.from(bytes)
    bad[bad.length - 3] = (bad[bad.length - 3] ?? 0) ^ 1
    await writeFile(path, bad)
    await expect(copy()).rejects.toMatchObject({ code: 'SEGMENT_TAMPERED' })
    expect(await listRuns(far, source)).toEqual([])
    await rm(path)
    await expect(copy()).rejects.toMatchObject({ code: 'SEGMENT_MISSING' })
    await writeFile(path, bytes)
    await copy()
    expect((await bytesOf(far, monday)).equals(archive)).toBe(true)
  })

  it('is refused in a repository of another installation, and is an error where there is none', async () => {
    await repository.backUp({ run: monday, streams: { archive: content(1) } })
    await expect(copy(tuesday)).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' })
    await prepareRepositories([far], keyRing(), { encrypted: true, installation: undefined, now })
    await expect(copy()).rejects.toMatchObject({ code: 'OTHER_INSTALLATION' })
    expect(await Array.fromAsync(far.list(layout.segments(source)))).toEqual([])
  })
})
