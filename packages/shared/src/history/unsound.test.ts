import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { layout, newRunId, scrub } from '@securyflex/shared/repository'
import { indexOf, source, testRepository, type TestRepository } from '../../../../test/helpers/repository.ts'
import { type RunReport, unsoundRuns, writeReport } from './index.ts'

let repository: TestRepository
beforeEach(async () => {
  repository = await testRepository()
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

type Here = RunReport['destinations'][number]
const stored = { segments: 1, bytes: 1 }
let minutes = 0

async function reported(...destinations: Here[]): Promise<string> {
  const at = new Date(Date.UTC(2026, 10, 23, 2, minutes++))
  const run = newRunId(source, at)
  const report: RunReport = {
    format: 1,
    kind: 'run',
    run,
    source,
    outcome: 'degraded',
    requestedBy: 'schedule',
    requestedAt: at.toISOString(),
    startedAt: at.toISOString(),
    destinations,
    notifications: [],
    warnings: [],
    overlaps: 0,
    generation: 0,
  }
  expect(await writeReport([repository.storage], report, repository.keys)).toEqual([])
  return run
}

describe('runs whose backups did not pass their checks', () => {
  it('are those that were sealed here and failed then', async () => {
    const bad = await reported({ name: 'local', outcome: 'failed', stored })
    const runs = [
      bad,
      await reported({ name: 'local', outcome: 'verified', stored }),
      await reported({ name: 'nas', outcome: 'failed', stored }, { name: 'local', outcome: 'verified' }),
      // Its run never sealed it here: what is here is a copy.
      await reported({ name: 'local', outcome: 'failed' }),
      await reported({ name: 'local', outcome: 'pending' }),
      newRunId(source, new Date(0)),
    ]
    expect(await unsoundRuns(repository.storage, repository.keys, runs)).toEqual(new Set([bad]))
  })

  it('are not those whose reports cannot be believed', async () => {
    const bad = await reported({ name: 'local', outcome: 'failed', stored })
    const name = layout.report(source, bad)
    const bytes = (await repository.storage.get(name)) ?? Buffer.alloc(0)
    await repository.storage.put(name, Buffer.from(bytes.toString().replace('degraded', 'failed')))
    expect(await unsoundRuns(repository.storage, repository.keys, [bad])).toEqual(new Set())
  })

  it('are looked for anew where the store does not answer', async () => {
    const storage = {
      ...repository.storage,
      get: () => Promise.reject(Object.assign(new Error('down'), { code: 'ECONNRESET' })),
    }
    await expect(unsoundRuns(storage, repository.keys, ['shop.20261123T020000Z.3fa2'])).rejects.toThrow(
      'down',
    )
  })

  it('are those that a scrub could not heal here, until one finds them whole', async () => {
    const { storage, keys } = repository
    const streams = { archive: Buffer.from('rows') }
    const [first, second] = ['shop.20261123T020000Z.0001', 'shop.20261124T020000Z.0002'] as const
    const [, entry] = [...(await indexOf(storage, await repository.backUp({ run: first, streams })))]
    await storage.delete(layout.segment(source, entry?.id ?? Buffer.alloc(32)))
    const unsound = async () => {
      const signal = new AbortController().signal
      const scrubbing = { storage, others: [], source, keys, installation: undefined, share: 1, signal }
      await scrub({ ...scrubbing, now: new Date() })
      return unsoundRuns(storage, keys, [first, second])
    }
    expect(await unsound()).toEqual(new Set([first]))
    await repository.backUp({ run: second, streams })
    expect(await unsound()).toEqual(new Set())
  })
})
