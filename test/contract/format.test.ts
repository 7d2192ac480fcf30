import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import type { Cipher } from '@securyflex/shared/config'
import { keepBackup, prepareRepositories, sealBackup } from '@securyflex/shared/repository'
import { Sealer } from '@securyflex/shared/segments'
import { openStorage } from '@securyflex/shared/storage'
import { content, factsOf, indexOf, keyRing, source, testRepository } from '../helpers/repository.ts'
import { keptBy, listBackups, readBackup } from '../helpers/second-reader.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const first = 'shop.20261122T020000Z.00aa'
const second = 'shop.20261123T020000Z.00bb'

describe('a reader written from docs/format.md alone', () => {
  it.each<[Cipher, 'none' | 'gzip' | 'zstd']>([
    ['aes-256-gcm', 'zstd'],
    ['aes-256-cbc', 'gzip'],
    ['none', 'none'],
    ['none', 'zstd'],
  ])('reads what was sealed with %s and %s', async (cipher, compression) => {
    await using repository = await testRepository(cipher)
    const archive = content(11)
    const streams = { globals: Buffer.from('CREATE ROLE shop;\n'), fingerprint: Buffer.alloc(0), archive }
    await repository.backUp({ run: first, streams, compression })
    // Longer than any segment, and changed at its end: whatever the bytes are, the first segment stays as it is.
    const changed = Buffer.concat([archive, randomBytes(77)])
    const opened = await repository.backUp({
      run: second,
      streams: { ...streams, archive: changed },
      compression,
    })

    expect(listBackups(repository.directory, source)).toEqual([first, second])
    const [before, after] = [first, second].map((run) =>
      readBackup(repository.directory, source, run, repository.secret),
    )
    expect(before?.streams.get('archive')?.equals(archive)).toBe(true)
    expect(before?.streams.get('globals')?.toString()).toBe('CREATE ROLE shop;\n')
    expect(before?.streams.get('fingerprint')?.length).toBe(0)
    expect(after?.streams.get('archive')?.equals(changed)).toBe(true)
    expect([before?.authenticated, after?.authenticated]).toEqual([cipher !== 'none', cipher !== 'none'])
    expect(after?.manifest.predecessor?.run).toBe(first)
    expect(opened.manifest.stored.bytes).toBeLessThan(archive.length)
    expect((await indexOf(repository.storage, opened)).size).toBeGreaterThan(opened.manifest.stored.segments)
  })

  it.each<Cipher>(['aes-256-gcm', 'none'])('reads who keeps a backup, written with %s', async (cipher) => {
    await using repository = await testRepository(cipher)
    const opened = await repository.backUp({ run: first, streams: { archive: content(1) } })
    const say = (action: 'keep' | 'release', by: string) =>
      keepBackup(repository.storage, opened, { action, by, now: new Date(0), reason: undefined })
    const kept = () => keptBy(repository.directory, source, first, repository.secret)
    await say('keep', 'ann')
    expect(kept()).toBe('ann')
    await say('release', 'bob')
    expect(kept()).toBeUndefined()
    await say('keep', 'eve')
    expect(kept()).toBe('eve')
    const [path = ''] = (await readdir(join(repository.directory, source, 'keeps'))).sort().reverse()
    const word = join(repository.directory, source, 'keeps', path)
    await writeFile(word, (await readFile(word, 'utf8')).replace('eve', 'ann'))
    expect(kept()).toBe('?')
  })

  it('opens a repository whose key is a passphrase, in whatever Unicode form it is typed', async () => {
    await using directory = await temporaryDirectory()
    const storage = await openStorage({ kind: 'local', name: 'local', directory: directory.path })
    const keys = keyRing('Zoë’s café is geheim 42'.normalize('NFD'))
    const now = new Date()
    const writing = await prepareRepositories([storage], keys, { encrypted: true, installation: 'home', now })
    const sealer = new Sealer(writing.key)
    const signal = new AbortController().signal
    const sealing = { storage, writing, sealer, keys, streams: [], predecessor: undefined, now, signal }
    const facts = factsOf({ run: first }, 'aes-256-gcm', now)
    await sealBackup({ ...sealing, facts, stored: { segments: 0, bytes: 0 } })
    const read = readBackup(directory.path, source, first, 'Zoë’s café is geheim 42'.normalize('NFC'))
    expect(read.authenticated).toBe(true)
    expect(() => readBackup(directory.path, source, first, 'another passphrase 4711')).toThrow('wrong key')
  })

  it('refuses the same damage that the product refuses', async () => {
    await using repository = await testRepository()
    const opened = await repository.backUp({ run: first, streams: { archive: content(1) } })
    const [segment] = [...(await indexOf(repository.storage, opened))].slice(-1)
    for (const path of [
      repository.pathOf({ run: first }),
      repository.pathOf({ segment: segment?.id ?? Buffer.alloc(32) }),
    ]) {
      const bytes = await readFile(path)
      for (const at of [70, Math.floor(bytes.length / 2), bytes.length - 20]) {
        const flipped = Buffer.from(bytes)
        flipped[at] = (flipped[at] ?? 0) ^ 1
        await writeFile(path, flipped)
        expect(() => readBackup(repository.directory, source, first, repository.secret)).toThrow()
      }
      await writeFile(path, bytes)
    }
    expect(readBackup(repository.directory, source, first, repository.secret).authenticated).toBe(true)
  })
})
