import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { content, source, testRepository, type TestRepository } from '../../../../test/helpers/repository.ts'
import { newRunId, prune, setAside } from './index.ts'

const day = 24 * 60 * 60 * 1000
let repository: TestRepository
beforeEach(async () => {
  repository = await testRepository()
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

describe('a prune', () => {
  it('removes what was set aside as bad more than 37 days ago, and nothing of another name there', async () => {
    const { storage, keys, directory } = repository
    await repository.backUp({ run: newRunId(source, new Date()), streams: { archive: content(1) } })
    const ids = ['aa', 'bb', 'cc'].map((digits) => Buffer.from(digits.repeat(32), 'hex'))
    for (const id of ids) {
      const name = `${source}/segments/${id.toString('hex').slice(0, 2)}/${id.toString('hex')}`
      await storage.put(name, Buffer.from('bad'))
      const bad = { id, plainLength: 1, sealedLength: 3, sealedHash: id }
      await setAside(storage, source, bad, new Date(7))
    }
    await writeFile(join(directory, source, 'aside', 'notes.txt'), 'mine')
    const age = async (name: string, days: number) => {
      const then = new Date(Date.now() - days * day)
      await utimes(join(directory, source, 'aside', name), then, then)
    }
    const [old, young] = ids.map((id) => `${id.toString('hex')}.7`)
    await age(old ?? '', 37.1)
    await age(young ?? '', 36.9)
    await age('notes.txt', 1000)
    await prune({
      storage,
      source,
      keys,
      installation: undefined,
      acceptChecksums: false,
      retention: {
        days: 1,
        last: undefined,
        daily: undefined,
        weekly: undefined,
        monthly: undefined,
        yearly: undefined,
        minimum: 1,
      },
      timeZone: 'UTC',
      unsound: () => Promise.resolve(new Set()),
      now: new Date(),
      signal: new AbortController().signal,
    })
    const left = await Array.fromAsync(storage.list(`${source}/aside/`), ({ key }) => key.split('/').at(-1))
    expect(left.sort()).toEqual([young, `${'cc'.repeat(32)}.7`, 'notes.txt'].sort())
  })
})
