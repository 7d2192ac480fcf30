import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { type Step, steps } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { startWorker } from '@securyflex/worker'
import { PassThrough } from 'node:stream'
import { type Installation, startInstallation } from '../helpers/installation.ts'

let installation: Installation

beforeAll(async () => {
  installation = await startInstallation()
  await installation.database.query('CREATE TABLE orders AS SELECT n FROM generate_series(1, 100) AS n')
})
afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

const lanes: readonly Step[] = ['compress', 'encrypt', 'upload']

/** A worker that serves only `served`, as with WORKER_STEPS. */
function startServing(served: readonly Step[]) {
  const { config } = installation
  const logger = createLogger({ name: 'worker', level: 'info', stream: new PassThrough().resume() })
  return startWorker({ ...config, worker: { ...config.worker, steps: served } }, logger)
}

it('workers that each serve some of the steps make a backup together, and none takes what is not its own', async () => {
  const { queues } = installation
  await using _lanes = await startServing(lanes)
  const served = await Promise.all(
    ['schedule', 'run', 'dump', 'compress', 'encrypt', 'upload-local', 'seal'].map(async (name) => [
      name,
      await queues.byName(name).getWorkersCount(),
    ]),
  )
  expect(Object.fromEntries(served)).toEqual({
    ...{ schedule: 0, run: 0, dump: 0, seal: 0 },
    ...{ compress: 1, encrypt: 1, 'upload-local': 1 },
  })
  const run = await installation.request()
  expect(await queues.get('run').getJobState(run)).toBe('waiting')
  await using _others = await startServing(steps.filter((step) => !lanes.includes(step)))
  expect((await installation.ended(run)).returnvalue).toMatchObject({ outcome: 'success' })
})
