import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import type { ErrorCode } from '@securyflex/shared/errors'
import { listRuns } from '@securyflex/shared/repository'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { testWhere } from '../helpers/test-where.ts'

const data = `CREATE TABLE orders AS
  SELECT n AS id, gen_random_uuid()::text || gen_random_uuid()::text AS note FROM generate_series(1, 150000) AS n`

describe('a run', () => {
  it('of a role that may not read a table fails at once, naming the table and the statement that helps', async () => {
    await using installation = await startInstallation(async (database) => {
      await database.query(data)
      await database.query(`DROP ROLE IF EXISTS poor_reader`)
      await database.query(`CREATE ROLE poor_reader LOGIN PASSWORD 'poor-reader-password'`)
      const { host, port, name } = database
      return { DATABASE_URL: `postgresql://poor_reader:poor-reader-password@${host}:${String(port)}/${name}` }
    })
    await expectFailure(installation, 'DATABASE_REFUSED', /orders.*GRANT/s)
    await installation.database.query(`DROP ROLE poor_reader`)
  })

  it('without client tools fails at once, with the line that installs them', async () => {
    await using directory = await temporaryDirectory()
    await using installation = await startInstallation({ BACKUP_PG_BIN_DIR: directory.path })
    await expectFailure(installation, 'TOOL_MISSING', /not found/)
  })

  it('with client tools older than the server fails before it dumps anything', async () => {
    await using directory = await temporaryDirectory()
    await mkdir(directory.join('bin'))
    for (const name of ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql']) {
      await writeFile(directory.join('bin', name), `#!/bin/sh\necho "${name} (PostgreSQL) 14.9"\n`)
      await chmod(directory.join('bin', name), 0o755)
    }
    await using installation = await startInstallation({ BACKUP_PG_BIN_DIR: directory.join('bin') })
    await expectFailure(installation, 'TOOL_TOO_OLD', /14/)
  })

  testWhere(process.getuid?.() === 0, 'only root may mount a small file system')(
    'into a full directory fails, says so, and leaves no backup',
    async () => {
      await using small = await temporaryDirectory()
      await using spool = await temporaryDirectory()
      mkdirSync(join(small.path, 'backups'))
      mount(join(small.path, 'backups'))
      try {
        await using installation = await startInstallation({
          BACKUP_DIR: join(small.path, 'backups'),
          BACKUP_SPOOL_DIR: spool.path,
        })
        await installation.database.query(data)
        await expectFailure(installation, 'STORAGE_FULL', /no space left/i)
      } finally {
        execFileSync('umount', ['--lazy', join(small.path, 'backups')])
      }
    },
  )
})

async function expectFailure(installation: Installation, code: ErrorCode, says: RegExp): Promise<void> {
  await using worker = await installation.startWorker()
  const run = await installation.request()
  const job = await installation.ended(run)
  expect(await job.getState()).toBe('failed')
  expect(job.failedReason).toMatch(says)
  expect(job.failedReason).toContain(`[${code}]`)
  expect(await listRuns(installation.storage, installation.source)).toEqual([])
  expect(await installation.spoolRuns()).toEqual([])
  await worker.kill('SIGTERM')
}

/** A file system of 3 MiB: room for the logs and the first segments only. */
function mount(path: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m,mode=700', 'tmpfs', path])
}
