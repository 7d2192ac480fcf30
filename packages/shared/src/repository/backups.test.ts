import { randomBytes } from 'node:crypto'
import { copyFile, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { Cipher } from '@securyflex/shared/config'
import { asBackupError } from '@securyflex/shared/errors'
import { type ListEntry, Sealer } from '@securyflex/shared/segments'
import {
  content,
  factsOf,
  indexOf,
  keyRing,
  noKeys,
  source,
  testRepository,
  type TestRepository,
} from '../../../../test/helpers/repository.ts'
import {
  BackupReader,
  encodeDocument,
  findBackups,
  layout,
  listRuns,
  listSources,
  newestBackup,
  oldestAllowed,
  type OpenManifest,
  prepareRepositories,
  readBackup,
  sealBackup,
} from './index.ts'

const runs = [
  'shop.20261121T020000Z.0001',
  'shop.20261122T020000Z.0002',
  'shop.20261123T020000Z.0003',
] as const
const [oldest, middle, newest] = runs
const trusting = { acceptChecksums: false }
const signal = new AbortController().signal
let repository: TestRepository

const use = async (cipher?: Cipher) => {
  repository = await testRepository(cipher)
}
beforeEach(() => use())
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

/** A manifest with other content, its code made with the key: what a newer version could have written. */
async function rewrite(opened: OpenManifest, changes: object): Promise<void> {
  const name = layout.manifest(source, opened.manifest.run)
  await writeFile(
    repository.pathOf({ run: opened.manifest.run }),
    encodeDocument(name, { ...opened.manifest, ...changes }, opened.key),
  )
}

describe.each<Cipher>(['aes-256-gcm', 'aes-256-cbc', 'none'])('a backup sealed with %s', (cipher) => {
  it('gives back its streams, in parts and as a whole', async () => {
    await using sealed = await testRepository(cipher)
    const streams = { globals: Buffer.from('-- roles'), fingerprint: Buffer.alloc(0), archive: content(13) }
    await sealed.backUp({ run: oldest, streams })
    const opened = await readBackup(sealed.storage, source, oldest, sealed.keys)
    const reader = new BackupReader(sealed.storage, opened)
    for (const stream of opened.manifest.streams) {
      const wanted = streams[stream.kind as keyof typeof streams]
      expect((await reader.readAll(stream)).equals(wanted)).toBe(true)
      expect(stream.bytes).toBe(wanted.length)
    }
    expect(reader.stream('archive')?.segments).toBeGreaterThan(1)
    expect(opened.authenticated).toBe(cipher !== 'none')
    expect(opened.manifest.predecessor).toBeNull()
  })
})

describe('a second backup', () => {
  it('stores only what is new, and names the one before', async () => {
    const archive = content(17)
    const first = await repository.backUp({ run: oldest, streams: { archive } })
    const changed = Buffer.concat([archive, randomBytes(5)])
    const second = await repository.backUp({ run: middle, streams: { archive: changed } })
    expect(second.manifest.predecessor).toEqual({ run: oldest, hash: first.hash })
    expect(second.manifest.stored.bytes).toBeLessThan(first.manifest.stored.bytes / 1.5)
    const third = await repository.backUp({ run: newest, streams: { archive: changed } })
    expect(third.manifest.stored).toEqual({ segments: 0, bytes: 0 })
  })
})

describe('sealing', () => {
  async function sealing(entries: ListEntry[], run: string = newest, attempt?: string) {
    const { storage, keys } = repository
    const writing = await prepareRepositories([storage], keys, {
      encrypted: true,
      installation: undefined,
      now: new Date(),
    })
    const sealer = new Sealer(writing.key)
    const facts = factsOf({ run }, 'aes-256-gcm', new Date())
    const given = async function* () {
      for (const entry of entries) yield await Promise.resolve(entry)
    }
    const stream = {
      kind: 'archive',
      bytes: 1,
      digest: '0'.repeat(64),
      segments: entries.length,
      entries: given,
    }
    return {
      ...{
        storage,
        writing,
        sealer,
        keys,
        streams: [stream],
        predecessor: undefined,
        now: new Date(),
        signal,
      },
      facts: attempt === undefined ? facts : { ...facts, attempt },
      stored: { segments: 0, bytes: 0 },
    }
  }

  it('writes no manifest while a segment is missing or damaged', async () => {
    const opened = await repository.backUp({ run: oldest, streams: { archive: content(1) } })
    const [entry] = [...(await indexOf(repository.storage, opened))].slice(-1) as [ListEntry]
    const path = repository.pathOf({ segment: entry.id })
    const bytes = await readFile(path)
    await writeFile(path, bytes.subarray(0, -1))
    await expect(sealBackup(await sealing([entry]))).rejects.toMatchObject({ code: 'SEGMENT_TRUNCATED' })
    await rm(path)
    await expect(sealBackup(await sealing([entry]))).rejects.toMatchObject({ code: 'SEGMENT_MISSING' })
    expect(await listRuns(repository.storage, source)).toEqual([oldest])
    await writeFile(path, bytes)
    await sealBackup(await sealing([entry]))
    expect(await listRuns(repository.storage, source)).toEqual([newest, oldest])
  })

  it('are told older ones apart by what has passed when the store has answered, however late', async () => {
    const hour = 60 * 60 * 1000
    let elapsed = hour
    const answer = new Date('2026-03-20T01:00:00Z')
    const slow = Object.create(repository.storage, {
      now: {
        value() {
          elapsed = 9 * hour
          return Promise.resolve(answer)
        },
      },
    }) as typeof repository.storage
    const age = (5 * 24 + 9 + 1) * hour
    expect(await oldestAllowed(slow, () => elapsed)).toEqual(new Date(answer.getTime() - age))
  })

  it('writes no manifest where the store did not keep what was stored again', async () => {
    const opened = await repository.backUp({ run: oldest, streams: { archive: content(1) } })
    const entries = [...(await indexOf(repository.storage, opened))].slice(-1)
    const [entry] = entries as [ListEntry]
    const week = new Date(Date.now() - 7 * 24 * 60 * 60 * 1000)
    await utimes(repository.pathOf({ segment: entry.id }), week, week)
    const notBefore = await oldestAllowed(repository.storage, () => 0)
    await expect(sealBackup({ ...(await sealing(entries)), oldest: notBefore })).rejects.toMatchObject({
      code: 'SEGMENT_MISSING',
      message: expect.stringContaining('did not keep'),
    })
    // What the backup before names may be as old as it likes.
    const predecessor = { opened, index: await indexOf(repository.storage, opened) }
    await sealBackup({ ...(await sealing(entries)), predecessor, oldest: notBefore })
  })

  it('writes no manifest when the list is shorter than the dump said', async () => {
    const short = await sealing([])
    const streams = short.streams.map((stream) => ({ ...stream, segments: 1 }))
    await expect(sealBackup({ ...short, streams })).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' })
    expect(await listRuns(repository.storage, source)).toEqual([])
  })

  it('is done when the same attempt was sealed before, and refuses another attempt of the run', async () => {
    const first = await sealBackup(await sealing([]))
    expect((await sealBackup(await sealing([]))).hash).toBe(first.hash)
    await expect(sealBackup(await sealing([], newest, 'ffffffff'))).rejects.toMatchObject({
      code: 'MANIFEST_DAMAGED',
    })
    expect((await readBackup(repository.storage, source, newest, repository.keys)).hash).toBe(first.hash)
  })
})

describe('listing', () => {
  it('gives the newest first, and every source once', async () => {
    for (const run of runs) await repository.backUp({ run, streams: {} })
    await repository.storage.put('shop/backups/notes.txt', Buffer.from('x'))
    await repository.storage.put('other/backups/other.20261123T020000Z.0000.json', Buffer.from('x'))
    expect(await listRuns(repository.storage, source)).toEqual([newest, middle, oldest])
    expect(await listSources(repository.storage)).toEqual(['other', 'shop'])
  })

  it('says what is not there', async () => {
    await expect(readBackup(repository.storage, source, oldest, repository.keys)).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
    })
    expect(await newestBackup(repository.storage, source, repository.keys, trusting)).toBeUndefined()
  })

  it('gives what cannot be read with its problem', async () => {
    for (const run of runs) await repository.backUp({ run, streams: {} })
    await writeFile(repository.pathOf({ run: middle }), '{')
    const found = []
    for await (const { run, problem } of findBackups(repository.storage, source, repository.keys))
      found.push([run, problem?.code])
    expect(found).toEqual([
      [newest, undefined],
      [middle, 'MANIFEST_DAMAGED'],
      [oldest, undefined],
    ])
  })
})

describe('the newest backup', () => {
  const newestRun = async (keys = repository.keys, options = trusting) =>
    (await newestBackup(repository.storage, source, keys, options))?.manifest.run

  beforeEach(async () => {
    for (const run of runs) await repository.backUp({ run, streams: {} })
  })

  it('is the last one that can be read', async () => {
    expect(await newestRun()).toBe(newest)
    await writeFile(repository.pathOf({ run: newest }), '')
    expect(await newestRun()).toBe(middle)
  })

  it('is not one that was moved to a newer name', async () => {
    await copyFile(
      repository.pathOf({ run: oldest }),
      repository.pathOf({ run: 'shop.20271123T020000Z.0009' }),
    )
    expect(await newestRun()).toBe(newest)
  })

  it('is not one that only a checksum vouches for, unless nothing is encrypted', async () => {
    const forged = 'shop.20271123T020000Z.0009'
    const { manifest } = await readBackup(repository.storage, source, newest, repository.keys)
    const name = layout.manifest(source, forged)
    for (const key of [null, manifest.key]) {
      await writeFile(
        repository.pathOf({ run: forged }),
        encodeDocument(name, { ...manifest, run: forged, key }, undefined),
      )
      expect((await readBackup(repository.storage, source, forged, repository.keys)).authenticated).toBe(
        false,
      )
      expect(await newestRun()).toBe(newest)
      expect(await newestRun(repository.keys, { acceptChecksums: true })).toBe(forged)
    }
  })

  it('is none without the key or with another one', async () => {
    expect(await newestRun(noKeys())).toBeUndefined()
    expect(await newestRun(keyRing())).toBeUndefined()
    await expect(readBackup(repository.storage, source, newest, noKeys())).rejects.toMatchObject({
      code: 'KEY_MISSING',
    })
    await expect(readBackup(repository.storage, source, newest, keyRing())).rejects.toMatchObject({
      code: 'KEY_WRONG',
    })
  })

  it('opens with a key that is configured as a previous one', async () => {
    expect(await newestRun(keyRing(undefined, repository.secret ?? ''))).toBe(newest)
  })
})

describe('a manifest that this version cannot know', () => {
  it.each([
    ['a newer format', { format: 2 }, 'FORMAT_UNKNOWN', 'format 2'],
    [
      'an unknown stream',
      { streams: [{ kind: 'wal', bytes: 0, digest: '0'.repeat(64), segments: 0, list: [] }] },
      'FORMAT_UNKNOWN',
      '"wal"',
    ],
    ['another kind of document', { kind: 'proof' }, 'MANIFEST_DAMAGED', 'kind'],
    ['a missing field', { attempt: undefined }, 'MANIFEST_DAMAGED', 'attempt'],
    ['the facts of another source', { source: 'hop' }, 'MANIFEST_DAMAGED', 'manifest of'],
    ['a key record of an unknown kind', { key: { kind: 'age' } }, 'MANIFEST_DAMAGED', 'key record'],
  ])('with %s is refused, naming it', async (_, changes, code, text) => {
    await rewrite(await repository.backUp({ run: newest, streams: {} }), changes)
    const error = asBackupError(
      await readBackup(repository.storage, source, newest, repository.keys).catch(
        (thrown: unknown) => thrown,
      ),
    )
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(text)])
    expect(error.message).toContain(layout.manifest(source, newest))
  })

  it('keeps its meaning with fields that are added', async () => {
    await rewrite(await repository.backUp({ run: newest, streams: {} }), { added: true })
    expect((await readBackup(repository.storage, source, newest, repository.keys)).manifest.run).toBe(newest)
  })
})

describe('reading a backup', () => {
  it('stops at a damaged segment, after the good ones before it', async () => {
    const opened = await repository.backUp({ run: newest, streams: { archive: content(25) } })
    const reader = new BackupReader(repository.storage, opened)
    const [stream] = opened.manifest.streams as [OpenManifest['manifest']['streams'][number]]
    const entries: ListEntry[] = []
    for await (const entry of reader.entries(stream)) entries.push(entry)
    await rm(repository.pathOf({ segment: entries[2]?.id ?? Buffer.alloc(32) }))
    let good = 0
    const read = async () => {
      for await (const part of reader.read(stream)) good += part.length > 0 ? 1 : 0
    }
    await expect(read()).rejects.toMatchObject({ code: 'SEGMENT_MISSING' })
    expect(good).toBe(2)
  })

  it('finds a stream that does not add up to what was dumped', async () => {
    const opened = await repository.backUp({ run: newest, streams: { archive: content(1) } })
    const [stream] = opened.manifest.streams as [OpenManifest['manifest']['streams'][number]]
    const reader = new BackupReader(repository.storage, opened)
    for (const wrong of [{ bytes: 1 }, { segments: 7 }, { digest: '0'.repeat(64) }]) {
      await expect(reader.readAll({ ...stream, ...wrong })).rejects.toMatchObject({ code: 'STREAM_DAMAGED' })
    }
  })
})
