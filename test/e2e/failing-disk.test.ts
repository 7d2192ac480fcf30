import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { listRuns } from '@securyflex/shared/repository'
import { type Installation, startInstallation, type WorkerProcess } from '../helpers/installation.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { testWhere } from '../helpers/test-where.ts'

/** Some 11 MB, which do not compress. */
const data = `CREATE TABLE orders AS
  SELECT n AS id, gen_random_uuid()::text || gen_random_uuid()::text AS note FROM generate_series(1, 150000) AS n`

describe('a disk that fails in the middle of a dump', () => {
  testWhere(process.getuid?.() === 0, 'only root may mount a small file system')(
    'because it is full has the run say so and leave nothing, and once there is room the next one succeeds',
    async () => {
      await using small = await temporaryDirectory()
      const spool = small.join('spool')
      mkdirSync(spool)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m,mode=700', 'tmpfs', spool])
      try {
        await using installation = await startInstallation({ BACKUP_SPOOL_DIR: spool })
        await installation.database.query(data)
        await using worker = await installation.startWorker()
        await expectFailure(
          installation,
          /There is no space left for the spool\. Free some space.*BACKUP_SPOOL_LIMIT/,
        )
        execFileSync('mount', ['-o', 'remount,size=200m', spool])
        await expectSuccess(installation, worker)
      } finally {
        execFileSync('umount', ['--lazy', spool])
      }
    },
  )

  it('because it is broken has the run say so and leave nothing, and once it works the next one succeeds', async () => {
    await using installation = await startInstallation()
    await installation.database.query(data)
    await using worker = await installation.startProgram('failing-disk-worker.ts')
    await expectFailure(
      installation,
      /The disk of the spool failed while it was written \(EIO\)\. See .*dmesg/,
    )
    await expectSuccess(installation, worker)
  })
})

async function expectFailure(installation: Installation, says: RegExp): Promise<void> {
  const run = await installation.request()
  const job = await installation.ended(run)
  expect(await job.getState()).toBe('failed')
  expect(await installation.report(run)).toMatchObject({
    outcome: 'failed',
    code: 'SPOOL_UNUSABLE',
    reason: expect.stringMatching(says),
  })
  expect(await listRuns(installation.storage, installation.source)).toEqual([])
  expect(await installation.spoolRuns()).toEqual([])
}

async function expectSuccess(installation: Installation, worker: WorkerProcess): Promise<void> {
  const run = await installation.request()
  await installation.ended(run)
  expect(await installation.report(run)).toMatchObject({ outcome: 'success' })
  expect(worker.process.exitCode).toBeNull()
  await worker.kill('SIGTERM')
}
