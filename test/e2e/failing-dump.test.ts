import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { listRuns } from '@securyflex/shared/repository'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { type StandInTools, standInTools } from '../helpers/stand-in-tools.ts'

/** Stand-ins for a pg_dump that fails, each as a shell script around the real one. */
const failures = [
  {
    title: 'prints half of the archive and exits with 1',
    script: '"$real" "$@" | head -c 300000; echo "pg_dump: error: unexpected end of something" >&2; exit 1',
    says: /pg_dump/,
  },
  {
    title: 'prints half of the archive and is killed',
    script: '"$real" "$@" | head -c 300000; kill -KILL $$',
    says: /killed|SIGKILL/i,
  },
  {
    title: 'prints nothing and exits with 0',
    script: 'exit 0',
    says: /wrote no archive/,
  },
  {
    title: 'prints an error text instead of an archive and exits with 0',
    script: 'echo "this is not an archive"; exit 0',
    says: /wrote no archive/,
  },
]

let tools: StandInTools
let installation: Installation

beforeAll(async () => {
  tools = await standInTools()
  installation = await startInstallation({ BACKUP_PG_BIN_DIR: tools.path })
  await installation.database.query(
    `CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 8) AS note FROM generate_series(1, 20000) AS n`,
  )
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  await tools[Symbol.asyncDispose]()
})

describe('a pg_dump that', () => {
  it.each(failures)('$title never makes a backup', async ({ script, says }) => {
    await tools.replaceDump(script)
    const { source, storage } = installation
    await using worker = await installation.startWorker()
    expect(worker.process.exitCode).toBeNull()
    const run = await installation.request()
    const job = await installation.ended(run)
    expect(await job.getState()).toBe('failed')
    expect(job.failedReason).toMatch(says)
    expect(await listRuns(storage, source)).toEqual([])
    expect(await installation.report(run)).toMatchObject({ outcome: 'failed', code: 'DUMP_FAILED' })
    expect(await installation.spoolRuns()).toEqual([])
  })
})
