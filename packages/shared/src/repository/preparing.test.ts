import { readdir, readFile, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { BackupError } from '@securyflex/shared/errors'
import { generateKey, type KeyRing } from '@securyflex/shared/keys'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import { keyRing, noKeys } from '../../../../test/helpers/repository.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import {
  adoptRepository,
  prepareRepositories,
  readInstallation,
  readKeyRecords,
  refuseForeign,
} from './index.ts'

const now = new Date('2026-11-23T12:00:00Z')
const encrypted = { encrypted: true, installation: undefined, now }
const open = { encrypted: false, installation: undefined, now }
const passphrase = 'correct horse battery staple'
let directory: TemporaryDirectory

beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(async () => {
  await directory.remove()
})

const store = (name = 'local'): Promise<Storage> =>
  openStorage({ kind: 'local', name: 'local', directory: directory.join(name) })

describe('preparing a repository', () => {
  it.each([
    ['a raw key', generateKey()],
    ['a passphrase', passphrase],
  ])('keeps a key record and its installation under %s, and finds both again', async (_, secret) => {
    const storage = await store()
    const first = await prepareRepositories([storage], keyRing(secret), encrypted)
    const again = await prepareRepositories([storage], keyRing(secret), { ...encrypted, now: new Date() })
    expect(again.key?.id).toBe(first.key?.id)
    expect(again.key?.subkey('id').equals(first.key?.subkey('id') ?? Buffer.alloc(0))).toBe(true)
    expect([first.installation, again.installation]).toEqual([first.key?.id, first.key?.id])
    expect(await readdir(directory.join('local', 'keys'))).toEqual([`${first.key?.id ?? ''}.json`])
    expect(
      await readFile(directory.join('local', 'keys', `${first.key?.id ?? ''}.json`), 'utf8'),
    ).not.toContain(secret)
  })

  it('agrees on one key and one installation when many first runs begin at once', async () => {
    for (let round = 0; round < 10; round++) {
      const storages = await Promise.all([store(`a${String(round)}`), store(`b${String(round)}`)])
      const secret = generateKey()
      const written = await Promise.all(
        // Their clocks differ, so that the record made last is not the one dated last.
        Array.from({ length: 6 }, (_, n) =>
          prepareRepositories(storages, keyRing(secret), {
            ...encrypted,
            now: new Date(now.getTime() - n * 1000),
          }),
        ),
      )
      expect(new Set(written.map(({ key }) => key?.id)).size).toBe(1)
      expect(new Set(written.map(({ installation }) => installation)).size).toBe(1)
      const later = await prepareRepositories(storages, keyRing(secret), encrypted)
      expect(later.key?.id).toBe(written[0]?.key?.id)
    }
  })

  it('agrees on one installation without encryption and with a configured name, too', async () => {
    const unnamed = await store('unnamed')
    const first = await Promise.all(
      Array.from({ length: 6 }, () => prepareRepositories([unnamed], noKeys(), open)),
    )
    expect(new Set(first.map(({ installation }) => installation)).size).toBe(1)
    const named = await store('named')
    const keys = keyRing()
    const options = { ...encrypted, installation: 'home' }
    const second = await Promise.all(
      Array.from({ length: 6 }, () => prepareRepositories([named], keys, options)),
    )
    expect(new Set(second.map(({ key }) => key?.id)).size).toBe(1)
    expect(await readInstallation(named)).toBe('home')
  })

  it('puts the same key record into a store that is added later', async () => {
    const secret = generateKey()
    const [one, two] = [await store('one'), await store('two')]
    const first = await prepareRepositories([one], keyRing(secret), encrypted)
    const both = await prepareRepositories([two, one], keyRing(secret), encrypted)
    expect(both).toMatchObject({ installation: first.installation, key: { id: first.key?.id } })
    expect(await readKeyRecords(two)).toEqual(await readKeyRecords(one))
  })

  it('makes a new key record for a new current key, while the old one still opens', async () => {
    const [old, fresh] = [generateKey(), generateKey()]
    const storage = await store()
    const before = await prepareRepositories([storage], keyRing(old), encrypted)
    const after = await prepareRepositories([storage], keyRing(fresh, old), encrypted)
    const again = await prepareRepositories([storage], keyRing(fresh, old), encrypted)
    expect(after.key?.id).not.toBe(before.key?.id)
    expect(again.key?.id).toBe(after.key?.id)
    expect(after.installation).toBe(before.installation)
    expect(await readKeyRecords(storage)).toHaveLength(2)
  })

  it('asks for a key when there is none', async () => {
    await expect(prepareRepositories([await store()], noKeys(), encrypted)).rejects.toMatchObject({
      code: 'KEY_MISSING',
    })
    expect(await readdir(directory.join('local'))).toEqual([])
  })
})

const adopt = (storage: Storage, keys: KeyRing, installation: string, at = now) =>
  adoptRepository(storage, keys, { installation, by: 'command line (ann)', now: at })

describe('a repository of another installation', () => {
  it('is refused when no key opens its records, and nothing is written', async () => {
    const storage = await store()
    await prepareRepositories([storage], keyRing(), encrypted)
    const before = await readKeyRecords(storage)
    await expect(prepareRepositories([storage], keyRing(), encrypted)).rejects.toMatchObject({
      code: 'OTHER_INSTALLATION',
    })
    expect(await readKeyRecords(storage)).toEqual(before)
  })

  it('is refused when it bears another name, also with the right key', async () => {
    const storage = await store()
    const keys = keyRing()
    await prepareRepositories([storage], keys, { ...encrypted, installation: 'home' })
    await expect(
      prepareRepositories([storage], keys, { ...encrypted, installation: 'work' }),
    ).rejects.toMatchObject({
      code: 'OTHER_INSTALLATION',
      hint: expect.stringContaining('BACKUP_INSTALLATION=home'),
    })
  })

  it('is refused when it has a name and we have none, although the key opens it', async () => {
    const storage = await store()
    const keys = keyRing()
    await prepareRepositories([storage], keys, { ...encrypted, installation: 'home' })
    await expect(prepareRepositories([storage], keys, encrypted)).rejects.toMatchObject({
      code: 'OTHER_INSTALLATION',
      hint: expect.stringContaining('adopt'),
    })
    await expect(refuseForeign(storage, keys, undefined)).rejects.toMatchObject({
      code: 'OTHER_INSTALLATION',
    })
  })

  it('is ours when we adopt it, and is refused to the one before', async () => {
    const storage = await store()
    const keys = keyRing()
    const before = await prepareRepositories([storage], keys, { ...encrypted, installation: 'home' })
    expect(await adopt(storage, keys, 'work')).toBe('home')
    expect(await adopt(storage, keys, 'work')).toBeUndefined()
    const after = await prepareRepositories([storage], keys, { ...encrypted, installation: 'work' })
    expect(after).toMatchObject({ installation: 'work', key: { id: before.key?.id } })
    await expect(
      prepareRepositories([storage], keys, { ...encrypted, installation: 'home' }),
    ).rejects.toMatchObject({
      code: 'OTHER_INSTALLATION',
      hint: expect.stringContaining('BACKUP_INSTALLATION=work'),
    })
    // The later word counts, also of one whose clock is behind.
    expect(await adopt(storage, keys, 'home', new Date(0))).toBe('work')
    expect(await readInstallation(storage)).toBe('home')
  })

  it('is adopted from one without a name, and by nobody who has no key of it', async () => {
    const storage = await store()
    const keys = keyRing()
    const { installation } = await prepareRepositories([storage], keys, encrypted)
    await expect(adopt(storage, keyRing(), 'work')).rejects.toMatchObject({ code: 'KEY_WRONG' })
    await expect(adopt(storage, noKeys(), 'work')).rejects.toMatchObject({ code: 'KEY_MISSING' })
    expect(await readInstallation(storage)).toBe(installation)
    expect(await adopt(storage, keys, 'work')).toBe(installation)
    await expect(adopt(await store('empty'), keys, 'work')).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
    })
  })

  it('stops everybody when the word of its adoption cannot be read', async () => {
    const storage = await store()
    const keys = keyRing()
    await prepareRepositories([storage], keys, { ...encrypted, installation: 'home' })
    await adopt(storage, keys, 'work')
    const [name = ''] = (await readdir(directory.join('local'))).filter((one) => /^repository\.\d/.test(one))
    await writeFile(directory.join('local', name), '{')
    for (const installation of ['home', 'work']) {
      await expect(
        prepareRepositories([storage], keys, { ...encrypted, installation }),
      ).rejects.toMatchObject({
        code: 'MANIFEST_DAMAGED',
      })
    }
  })

  it('is left out as a second store', async () => {
    const [one, two] = [await store('one'), await store('two')]
    const first = await prepareRepositories([one], noKeys(), open)
    await prepareRepositories([two], noKeys(), open)
    const { installation, unusable } = await prepareRepositories([one, two], noKeys(), open)
    expect(installation).toBe(first.installation)
    expect([...unusable]).toEqual([[two, expect.objectContaining({ code: 'OTHER_INSTALLATION' })]])
  })

  it('is ours under another name if our key opens it: each was first where the other was away', async () => {
    const [one, two] = [await store('one'), await store('two')]
    const secret = generateKey()
    const first = await prepareRepositories([one], keyRing(secret), encrypted)
    const second = await prepareRepositories([two], keyRing(secret), encrypted)
    expect(second.installation).not.toBe(first.installation)
    for (let round = 0; round < 2; round++) {
      const both = await prepareRepositories([one, two], keyRing(secret), encrypted)
      expect(both).toMatchObject({ installation: first.installation, key: { id: first.key?.id } })
      expect(both.unusable.size).toBe(0)
    }
    expect(await readInstallation(two)).toBe(second.installation)
  })

  it('is refused when a newer version made it, or when it cannot be read', async () => {
    const storage = await store()
    const path = directory.join('local', 'repository.json')
    await writeFile(path, JSON.stringify({ format: 2, installation: 'x', created: now.toISOString() }))
    await expect(prepareRepositories([storage], noKeys(), open)).rejects.toMatchObject({
      code: 'FORMAT_UNKNOWN',
    })
    await writeFile(path, '{"format":1,')
    await expect(prepareRepositories([storage], noKeys(), open)).rejects.toMatchObject({
      code: 'MANIFEST_DAMAGED',
    })
  })
})

describe('a store that cannot be used', () => {
  const dead = (what: 'get' | 'putIfAbsent', error: BackupError): Promise<Storage> =>
    store('dead').then((storage) => {
      const broken: Storage = { ...storage, [what]: () => Promise.reject(error), until: () => broken }
      return broken
    })
  const away = new BackupError('STORAGE_UNREACHABLE', 'Away.')
  const full = new BackupError('STORAGE_FULL', 'Full.')

  it.each([
    ['does not answer', 'get', away],
    ['takes nothing', 'putIfAbsent', full],
  ] as const)('is left out, first or last, if it %s', async (_, what, error) => {
    const keys = keyRing()
    const [good, broken] = [await store('good'), await dead(what, error)]
    for (const storages of [
      [broken, good],
      [good, broken],
    ]) {
      const { key, unusable } = await prepareRepositories(storages, keys, encrypted)
      expect([...unusable]).toEqual([[broken, error]])
      expect((await readKeyRecords(good)).map(({ id }) => id)).toEqual([key?.id])
    }
  })

  it('is an error where there is no other; one that may pass is told first', async () => {
    const [one, two] = [await dead('putIfAbsent', full), await dead('get', away)]
    await expect(prepareRepositories([one], keyRing(), encrypted)).rejects.toBe(full)
    await expect(prepareRepositories([one, two], keyRing(), encrypted)).rejects.toBe(away)
  })
})
