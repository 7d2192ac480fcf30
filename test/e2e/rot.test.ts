import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { KeyRing } from '@securyflex/shared/keys'
import { BackupReader, checkBackup, layout, readBackup } from '@securyflex/shared/repository'
import { listBackups } from '../../apps/cli/src/listing.ts'
import { type Installation, startInstallation } from '../helpers/installation.ts'

let installation: Installation

beforeAll(async () => {
  installation = await startInstallation()
  await installation.database.query(
    `CREATE TABLE orders AS SELECT n AS id, repeat(md5(n::text), 8) AS note FROM generate_series(1, 80000) AS n`,
  )
})

afterAll(async () => {
  await installation[Symbol.asyncDispose]()
})

describe('a segment that goes bad', () => {
  it('is named by the run that finds it, set aside, and stored again by the next run', async () => {
    await using held = await installation.startWorker('verify:begun')
    const first = await installation.request()
    await held.held
    const path = await segmentOf(first)
    const bytes = await readFile(path)
    bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1
    await writeFile(path, bytes)
    await held.kill('SIGKILL')

    await using worker = await installation.startWorker()
    const failed = await installation.ended(first)
    expect(failed.failedReason).toContain('[SEGMENT_TAMPERED]')
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await listed(first)).toMatchObject({ state: 'readable', incomplete: true })

    const again = await installation.ended(await installation.request())
    expect(again.returnvalue).toMatchObject({ outcome: 'success' })
    expect(await listed(again.id ?? '')).toMatchObject({ state: 'readable', incomplete: false })
    await expect(check(first)).resolves.toMatchObject({ listed: 0 })
    await worker.kill('SIGTERM')
  })

  it('is stored again also when it is gone altogether', async () => {
    await using worker = await installation.startWorker()
    const first = await installation.ended(await installation.request())
    await rm(await segmentOf(first.id ?? ''))
    await expect(check(first.id ?? '')).rejects.toMatchObject({ code: 'SEGMENT_MISSING' })
    const again = await installation.ended(await installation.request())
    expect(again.returnvalue).toMatchObject({ outcome: 'success' })
    await expect(check(first.id ?? '')).resolves.toMatchObject({ listed: 0 })
    await worker.kill('SIGTERM')
  })
})

describe('a worker that is stopped and wakes up again', () => {
  it('neither keeps the next one from the source nor disturbs its run', async () => {
    await using stopped = await installation.startWorker('dump:batch')
    await installation.database.query(
      `INSERT INTO orders SELECT n, repeat(md5(n::text || 'x'), 8) FROM generate_series(1, 9000) AS n`,
    )
    const run = await installation.request()
    await stopped.held
    stopped.process.kill('SIGSTOP')
    await using worker = await installation.startWorker()
    const job = await installation.ended(run)
    expect(job.returnvalue).toMatchObject({ outcome: 'success' })
    stopped.process.kill('SIGCONT')
    await expect(check(run)).resolves.toMatchObject({ listed: 0 })
    expect(await installation.spoolRuns()).toEqual([])
    await worker.kill('SIGTERM')
  })
})

/** What `list` shows of a run's backup. */
async function listed(run: string): Promise<unknown> {
  const { storage, source, config } = installation
  const { backups } = await listBackups([storage], [source], new KeyRing(config.keys))
  return backups.find((backup) => backup.run === run)
}

/** The file of an archive's second segment: the first one holds the time of the dump and never comes again. */
async function segmentOf(run: string): Promise<string> {
  const reader = await open(run)
  const stream = reader.stream('archive')
  if (stream === undefined) throw new Error('no archive')
  const entries = await Array.fromAsync(reader.entries(stream), ({ id }) => Buffer.from(id))
  const [destination] = installation.config.destinations
  if (entries[1] === undefined || destination?.kind !== 'local') throw new Error('a single segment')
  return join(destination.directory, layout.segment(installation.source, entries[1]))
}

async function check(run: string) {
  return checkBackup(installation.storage, await open(run), {
    predecessor: undefined,
    full: true,
    now: new Date(),
    signal: new AbortController().signal,
  })
}

async function open(run: string): Promise<BackupReader> {
  const { storage, source, config } = installation
  return new BackupReader(storage, await readBackup(storage, source, run, new KeyRing(config.keys)))
}
