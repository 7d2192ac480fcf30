import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { loadConfig, type Step, steps } from '@securyflex/shared/config'
import { createLogger } from '@securyflex/shared/logging'
import { startWorker } from '@securyflex/worker'
import { PassThrough } from 'node:stream'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { command } from '../helpers/round-trip.ts'

let installation: Installation

beforeAll(async () => {
  installation = await startInstallation()
  await installation.database.query('CREATE TABLE orders AS SELECT n FROM generate_series(1, 100) AS n')
})
afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

const lanes: readonly Step[] = ['compress', 'encrypt', 'upload']

/** A worker that serves only `served`. */
function startServing(served: readonly Step[]) {
  const env = { ...installation.env, WORKER_STEPS: served.join(', ') }
  const config = loadConfig({ env, directory: installation.config.directory, needs: ['redis'] })
  const logger = createLogger({ name: 'worker', level: 'info', stream: new PassThrough().resume() })
  return startWorker(config, logger)
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
  const { stdout } = await command(installation, 'status')
  expect(stdout).toMatch(/no worker serves schedule, run, dump, seal, verify, prune, notify, copy, scrub \(/)
  const run = await installation.request()
  expect(await queues.get('run').getJobState(run)).toBe('waiting')
  await using _others = await startServing(steps.filter((step) => !lanes.includes(step)))
  expect((await installation.ended(run)).returnvalue).toMatchObject({ outcome: 'success' })
})

it('a step that does not exist is refused with those that do', async () => {
  const wrong = { ...installation.env, WORKER_STEPS: 'compress,upsert' }
  await expect(command({ env: wrong }, 'worker')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/WORKER_STEPS: .*upsert.*\n.*WORKER_STEPS=compress,encrypt,upload/),
  })
})
