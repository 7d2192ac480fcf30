import { randomBytes } from 'node:crypto'
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { Cipher, Retention } from '@securyflex/shared/config'
import { asBackupError, BackupError } from '@securyflex/shared/errors'
import type { Storage } from '@securyflex/shared/storage'
import { source, testRepository, type TestRepository } from '../../../../test/helpers/repository.ts'
import {
  BackupReader,
  encodeDocument,
  keepBackup,
  type Keeping,
  type Kept,
  layout,
  listKeeps,
  listRuns,
  newRunId,
  prune,
  type Pruned,
  readBackup,
  readKept,
} from './index.ts'

const day = 24 * 60 * 60 * 1000
const ago = (days: number) => new Date(Date.now() - days * day)
const onlyTheNewest: Retention = {
  days: undefined,
  last: 1,
  daily: undefined,
  weekly: undefined,
  monthly: undefined,
  yearly: undefined,
  minimum: 1,
}

let repository: TestRepository
const begin = async (cipher: Cipher) => {
  repository = await testRepository(cipher)
}
beforeEach(() => begin('aes-256-gcm'))
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

const backUp = async (days: number) => {
  const streams = { archive: randomBytes(5_000) }
  const { manifest } = await repository.backUp({ run: newRunId(source, ago(days)), streams })
  return manifest.run
}
const say = async (run: string, action: Keeping['action'], changes: Partial<Keeping> = {}) => {
  const opened = await readBackup(repository.storage, source, run, repository.keys)
  const word = { action, by: 'command line (ann)', now: new Date(), reason: undefined, ...changes }
  return keepBackup(repository.storage, opened, word)
}
const keptAs = async (run: string): Promise<Kept | undefined> => {
  const { key } = await readBackup(repository.storage, source, run, repository.keys)
  return readKept(repository.storage, run, key, await listKeeps(repository.storage, source))
}
const pruneAll = (storage: Storage = repository.storage): Promise<Pruned> =>
  prune({
    storage,
    source,
    keys: repository.keys,
    installation: undefined,
    acceptChecksums: repository.secret === undefined,
    retention: onlyTheNewest,
    timeZone: 'UTC',
    unsound: () => Promise.resolve(new Set()),
    now: new Date(),
    signal: new AbortController().signal,
  })
const readable = async (run: string) => {
  const opened = await readBackup(repository.storage, source, run, repository.keys)
  const reader = new BackupReader(repository.storage, opened)
  for (const stream of opened.manifest.streams) await reader.readAll(stream)
}
const words = () => readdir(join(repository.directory, source, 'keeps'))

describe.each<Cipher>(['aes-256-gcm', 'none'])('a backup that is kept, written with %s', (cipher) => {
  it('is not pruned until it is released', async () => {
    await repository[Symbol.asyncDispose]()
    await begin(cipher)
    const [old, newest] = [await backUp(400), await backUp(1)]
    expect(await say(old, 'keep', { reason: 'before the migration' })).toBe(true)
    const pruned = await pruneAll()
    expect(pruned.backups).toBe(0)
    expect(pruned.plan.decisions[1]?.why).toMatch(
      /^kept by command line \(ann\) since \d{4}-\d\d-\d\d: before the migration$/,
    )
    expect(await say(old, 'release')).toBe(true)
    expect((await pruneAll()).backups).toBe(1)
    expect(await listRuns(repository.storage, source)).toEqual([newest])
  })
})

describe('a word about a backup', () => {
  it('changes nothing when it was so before', async () => {
    const run = await backUp(1)
    expect(await say(run, 'release')).toBe(false)
    expect(await say(run, 'keep')).toBe(true)
    expect(await say(run, 'keep')).toBe(false)
    expect(await words()).toHaveLength(1)
  })

  it('that is said later counts, also where the clock of whoever says it is behind', async () => {
    const run = await backUp(1)
    await say(run, 'keep')
    expect(await say(run, 'release', { now: ago(2) })).toBe(true)
    expect(await keptAs(run)).toBeUndefined()
    expect(await say(run, 'keep', { now: ago(3), by: 'bob' })).toBe(true)
    expect(await keptAs(run)).toMatchObject({ by: 'bob' })
    expect(await words()).toHaveLength(3)
  })

  it('that is damaged keeps it, and so does one that nobody vouches for', async () => {
    const run = await backUp(400)
    await backUp(1)
    await say(run, 'keep')
    const [name = ''] = await words()
    const path = join(repository.directory, source, 'keeps', name)
    const whole = await readFile(path, 'utf8')
    await writeFile(path, whole.replace('"keep"', '"release"'))
    expect(await keptAs(run)).toEqual({ by: undefined, at: undefined, reason: undefined })
    const forged = layout.keep(source, run, Date.now() + day)
    const content = {
      format: 1,
      kind: 'keep',
      run,
      action: 'release',
      by: 'eve',
      at: new Date().toISOString(),
    }
    await repository.storage.put(forged, encodeDocument(forged, content, undefined))
    expect((await pruneAll()).backups).toBe(0)
    // A new word is later still.
    await say(run, 'release')
    expect((await pruneAll()).backups).toBe(1)
  })

  it('is about one backup: moved to another it is not believed, and keeps that one', async () => {
    const [run, other] = [await backUp(400), await backUp(300)]
    await backUp(1)
    await say(run, 'keep')
    await say(run, 'release')
    const [name = ''] = (await words()).sort().reverse()
    const document = await readFile(join(repository.directory, source, 'keeps', name))
    await repository.storage.put(layout.keep(source, other, Date.now()), document)
    expect(await keptAs(other)).toBeDefined()
  })

  it('goes when its backup is gone and it is old', async () => {
    const run = await backUp(400)
    await backUp(1)
    await say(run, 'keep')
    await say(run, 'release')
    await pruneAll()
    expect(await words()).toHaveLength(2)
    for (const name of await words())
      await utimes(join(repository.directory, source, 'keeps', name), ago(8), ago(8))
    await pruneAll()
    expect(await words()).toEqual([])
  })
})

describe('a backup that is kept while it is pruned', () => {
  it('stays, or the one who keeps it hears that it is too late', async () => {
    // Between which two calls of the prune the word is said.
    for (let calls = 0; ; calls++) {
      await repository[Symbol.asyncDispose]()
      await begin('aes-256-gcm')
      const run = await backUp(400)
      await backUp(1)
      const opened = await readBackup(repository.storage, source, run, repository.keys)
      let left = calls
      const answers: string[] = []
      const speak = async () => {
        const word: Keeping = { action: 'keep', by: 'ann', now: new Date(), reason: undefined }
        const answer = keepBackup(repository.storage, opened, word).then(() => 'kept')
        answers.push(await answer.catch((error: unknown) => asBackupError(error).code))
      }
      const interrupted: Storage = {
        ...repository.storage,
        get: async (key) => (await passing(), repository.storage.get(key)),
        delete: async (key) => (await passing(), repository.storage.delete(key)),
        async *list(prefix) {
          await passing()
          yield* repository.storage.list(prefix)
        },
      }
      const passing = async () => {
        if (left-- === 0) await speak()
      }
      await pruneAll(interrupted)
      const [answer] = answers
      if (answer === undefined) return
      expect(['kept', 'BACKUP_NOT_FOUND']).toContain(answer)
      if (answer === 'kept') await readable(run)
    }
  })

  it('is there still where the store stops answering just then', async () => {
    const run = await backUp(400)
    await backUp(1)
    const opened = await readBackup(repository.storage, source, run, repository.keys)
    let isGone = false
    const failing: Storage = {
      ...repository.storage,
      delete: async (key) => {
        if (key.includes('/backups/'))
          await keepBackup(repository.storage, opened, {
            action: 'keep',
            by: 'ann',
            now: new Date(),
            reason: undefined,
          })
        await repository.storage.delete(key)
        isGone = true
      },
      async *list(prefix) {
        if (isGone) throw new BackupError('STORAGE_UNREACHABLE', 'It does not answer.')
        yield* repository.storage.list(prefix)
      },
    }
    await expect(pruneAll(failing)).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    await readable(run)
  })
})
