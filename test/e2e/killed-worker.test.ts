import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Job } from 'bullmq'
import { KeyRing } from '@securyflex/shared/keys'
import { BackupReader, checkBackup, readBackup } from '@securyflex/shared/repository'
import { until } from '../helpers/command.ts'
import { onlyInFull } from '../helpers/in-full.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'

/**
 * Where a worker is killed: in the middle of a dump, of an upload, and when a seal and a verification have just begun; in
 * the long run of the tests when each step has begun, and when its work is done but not said.
 */
const places = [
  'dump:batch',
  'upload:begun',
  'seal:begun',
  'verify:begun',
  ...onlyInFull('run:dump', 'dump:begun', 'compress:begun', 'encrypt:begun'),
  ...onlyInFull('prune:begun', 'notify:begun', 'run:finish'),
  ...onlyInFull('dump:done', 'compress:done', 'encrypt:done', 'upload:done', 'run:seal', 'run:added'),
  ...onlyInFull('seal:done', 'verify:done', 'prune:done', 'notify:done'),
]

let installation: Installation

beforeAll(async () => {
  installation = await startInstallation()
  await installation.database.query(
    `CREATE TABLE orders AS SELECT n AS id, md5(n::text) AS code, repeat(md5((n * 7)::text), 4) AS note
     FROM generate_series(1, 30000) AS n`,
  )
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

describe('a worker killed with SIGKILL', () => {
  it.each(places)('at %s leaves a run that completes on another worker without help', async (place) => {
    const { queues, source, storage, config } = installation
    const [step = ''] = place.split(':')
    await using first = await installation.startWorker(place)
    const run = await installation.request()
    await first.held
    expect(await activeJobs(step)).toContain(true)
    await first.kill('SIGKILL')
    // The kernel kills it with its worker; it may be seen a moment longer.
    await until('pg_dump is gone', () => dumpsRunning().length === 0)

    await using second = await installation.startWorker()
    expect(second.process.exitCode).toBeNull()
    const job = await installation.ended(run)
    expect(job.failedReason).toBeFalsy()
    expect(job.returnvalue).toMatchObject({ outcome: 'success' })
    expect(await installation.report(run)).toMatchObject({ outcome: 'success' })
    expect(await installation.spoolRuns()).toEqual([])

    const opened = await readBackup(storage, source, run, new KeyRing(config.keys))
    const checked = await checkBackup(storage, new BackupReader(storage, opened), {
      predecessor: undefined,
      full: true,
      now: new Date(),
      signal: new AbortController().signal,
    })
    expect(checked.opened).toBeGreaterThan(0)
    expect(await queues.get('run').getWaitingChildrenCount()).toBe(0)
  })
})

/** Whether each of the step's queues has a job that a worker holds. */
async function activeJobs(step: string): Promise<boolean[]> {
  const names = step === 'upload' ? ['upload-local'] : [step]
  return Promise.all(
    names.map(async (name) => {
      const jobs = (await installation.queues.byName(name).getActive()) as Job[]
      return jobs.length > 0
    }),
  )
}

/** pg_dump processes that dump this test's database. */
function dumpsRunning(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        const ours = command.includes('pg_dump') && environment.includes(installation.database.name)
        return ours ? [command] : []
      } catch (error) {
        if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
        throw error
      }
    })
}
