import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { parseRunId, readBackup } from '@securyflex/shared/repository'
import { indexOf, source, testRepository, type TestRepository } from '../../../../test/helpers/repository.ts'
import { type RunReport, vouchedIndex, writeReport } from './index.ts'

const [monday, tuesday, wednesday] = [
  'shop.20261123T020000Z.0001',
  'shop.20261124T020000Z.0002',
  'shop.20261125T020000Z.0003',
] as const
let repository: TestRepository
beforeEach(async () => {
  repository = await testRepository()
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

async function report(run: string, outcome: 'verified' | 'failed' | 'sealed'): Promise<void> {
  const at = parseRunId(run)?.time.toISOString() ?? ''
  const destinations: RunReport['destinations'] = [
    { name: 'local', outcome, stored: { segments: 1, bytes: 1 } },
  ]
  const content: RunReport = {
    ...{ format: 1, kind: 'run', run, source, outcome: outcome === 'failed' ? 'failed' : 'success' },
    ...{ requestedBy: 'schedule', requestedAt: at, startedAt: at, destinations },
    ...{ notifications: [], warnings: [], overlaps: 0, generation: 0 },
  }
  expect(await writeReport([repository.storage], content, repository.keys)).toEqual([])
}

/** The names of what was vouched for when `run` was checked. */
async function vouched(run: string): Promise<string[]> {
  const { storage, keys } = repository
  const { manifest } = await readBackup(storage, source, run, keys)
  return [...((await vouchedIndex(storage, keys, manifest)) ?? [])].map(({ id }) => id.toString('hex')).sort()
}

async function namedBy(run: string): Promise<string[]> {
  const { storage, keys } = repository
  const index = await indexOf(storage, await readBackup(storage, source, run, keys))
  return [...index].map(({ id }) => id.toString('hex')).sort()
}

describe('what was read back before', () => {
  beforeEach(async () => {
    for (const [at, run] of [monday, tuesday, wednesday].entries())
      await repository.backUp({ run, streams: { archive: Buffer.from(`rows ${String(at)}`) } })
  })

  it('is what the backup before names, if that passed its checks', async () => {
    await report(monday, 'verified')
    await report(tuesday, 'verified')
    expect(await vouched(wednesday)).toEqual(await namedBy(tuesday))
  })

  it('is what the one before that names, if it did not: nobody may ever have read what it stored', async () => {
    await report(monday, 'verified')
    await report(tuesday, 'failed')
    expect(await vouched(wednesday)).toEqual(await namedBy(monday))
  })

  it('is what the one before that names, if its report never came to say how its check ended', async () => {
    await report(monday, 'verified')
    await report(tuesday, 'sealed')
    expect(await vouched(wednesday)).toEqual(await namedBy(monday))
  })

  it('is nothing where none passed its checks, and for the first', async () => {
    await report(monday, 'failed')
    await report(tuesday, 'failed')
    expect(await vouched(wednesday)).toEqual([])
    expect(await vouched(monday)).toEqual([])
  })
})
