import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { layout, newRunId } from '@securyflex/shared/repository'
import { source, testRepository, type TestRepository } from '../../../../test/helpers/repository.ts'
import { type RunReport, runsUnderWay, writeReport } from './index.ts'

const hour = 60 * 60 * 1000
const now = new Date('2026-11-23T12:00:00Z')
let repository: TestRepository
beforeEach(async () => {
  repository = await testRepository()
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

/** A run that was asked for and begun so many hours ago. */
async function reported(outcome: RunReport['outcome'], asked: number, began = asked): Promise<string> {
  const at = new Date(now.getTime() - asked * hour)
  const run = newRunId(source, at)
  const report: RunReport = {
    format: 1,
    kind: 'run',
    run,
    source,
    outcome,
    requestedBy: 'schedule',
    requestedAt: at.toISOString(),
    startedAt: new Date(now.getTime() - began * hour).toISOString(),
    destinations: [],
    notifications: [],
    warnings: [],
    overlaps: 0,
    generation: 0,
  }
  expect(await writeReport([repository.storage], report, repository.keys)).toEqual([])
  return run
}

const underWay = async (...sealed: string[]) =>
  (await runsUnderWay(repository.storage, source, repository.keys, sealed, now)).map(
    (began) => (now.getTime() - began.getTime()) / hour,
  )

describe('runs under way', () => {
  it('are those that have not ended, began within 48 hours, and are not sealed here', async () => {
    for (const outcome of ['success', 'degraded', 'failed', 'cancelled'] as const) await reported(outcome, 1)
    await reported('running', 2)
    await reported('running', 60, 40)
    await reported('running', 61, 50)
    const sealed = await reported('running', 3)
    expect((await underWay(sealed)).sort((a, b) => a - b)).toEqual([2, 40])
  })

  it('are not those whose reports cannot be believed', async () => {
    const run = await reported('success', 1)
    const name = layout.report(source, run)
    const bytes = (await repository.storage.get(name)) ?? Buffer.alloc(0)
    await repository.storage.put(name, Buffer.from(bytes.toString().replace('success', 'running')))
    expect(await underWay()).toEqual([])
  })

  it('are looked for anew where the store does not answer', async () => {
    await reported('running', 1)
    const storage = {
      ...repository.storage,
      list: (prefix: string) => repository.storage.list(prefix),
      get: () => Promise.reject(new Error('down')),
    }
    await expect(runsUnderWay(storage, source, repository.keys, [], now)).rejects.toThrow()
  })
})
