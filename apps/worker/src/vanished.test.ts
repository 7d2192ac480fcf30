import { rm } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type RunReport, writeReport } from '@securyflex/shared/history'
import { copyBackup, predecessorOf, prepareRepositories } from '@securyflex/shared/repository'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import { source, testRepository, type TestRepository } from '../../../test/helpers/repository.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../test/helpers/temporary-directory.ts'
import { findVanished } from './vanished.ts'

const [monday, tuesday] = ['shop.20261123T020000Z.0001', 'shop.20261124T020000Z.0002'] as const
const signal = new AbortController().signal
let repository: TestRepository
let directory: TemporaryDirectory
let nas: Storage
beforeEach(async () => {
  repository = await testRepository()
  directory = await temporaryDirectory()
  nas = await openStorage({ kind: 'local', name: 'nas', directory: directory.join('nas') })
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
  await directory.remove()
})

/** A backup at both, as verified as `outcome` says. */
async function backUp(run: string, outcome: 'verified' | 'failed' = 'verified'): Promise<void> {
  const { storage, keys } = repository
  await repository.backUp({ run, streams: { archive: Buffer.from(run) } })
  const at = new Date().toISOString()
  const report: RunReport = {
    ...{ format: 1, kind: 'run', run, source, outcome: outcome === 'verified' ? 'success' : 'degraded' },
    ...{ requestedBy: 'schedule', requestedAt: at, startedAt: at, overlaps: 0, generation: 0 },
    ...{ notifications: [], warnings: [] },
    destinations: [
      { name: 'local', outcome: 'verified' },
      { name: 'nas', outcome },
    ],
  }
  await writeReport([storage], report, keys)
  if (outcome === 'failed') return
  const copying = { from: storage, to: nas, source, run, keys, installation: undefined }
  await copyBackup({ ...copying, now: new Date(), signal })
}

async function vanished(): Promise<readonly string[]> {
  const { keys } = repository
  const storages = [repository.storage, nas]
  const { key } = await prepareRepositories(storages, keys, {
    ...{ encrypted: true, installation: undefined, now: new Date() },
  })
  const found = storages.map(async (storage) => ({
    storage,
    predecessor: await predecessorOf(storage, source, keys, key),
  }))
  return findVanished(source, keys, await Promise.all(found))
}

describe('what a run misses at a destination', () => {
  it('is nothing where all have what was verified there, and before there is any', async () => {
    expect(await vanished()).toEqual([])
    await backUp(monday)
    expect(await vanished()).toEqual([])
  })

  it('is everything where the place is empty, and had the newest', async () => {
    await backUp(monday)
    await rm(directory.join('nas'), { recursive: true })
    const [said, ...more] = await vanished()
    expect(more).toEqual([])
    expect(said).toMatch(
      /^No backup of shop is at nas \(.+\) any more, though shop\.20261123T020000Z\.0001 was/,
    )
  })

  it('is the newest where an old state of the place was brought back', async () => {
    await backUp(monday)
    await backUp(tuesday)
    await rm(directory.join('nas', source, 'backups', `${tuesday}.json`))
    expect(await vanished()).toEqual([expect.stringMatching(/^The newest backups of shop are not at nas/)])
  })

  it('is nothing that never was there', async () => {
    await backUp(monday)
    await backUp(tuesday, 'failed')
    expect(await vanished()).toEqual([])
  })
})
