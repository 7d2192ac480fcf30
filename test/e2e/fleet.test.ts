import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { memberName } from '@securyflex/shared/config'
import { readReport } from '@securyflex/shared/history'
import { KeyRing } from '@securyflex/shared/keys'
import { startThrowawayServer, type ThrowawayServer } from '@securyflex/shared/postgres'
import { jobIds, parseTrigger, requestRun, requestTriggered } from '@securyflex/shared/queue'
import { newRunId, parseRunId } from '@securyflex/shared/repository'
import pg from 'pg'
import { type Installation, startInstallation } from '../helpers/installation.ts'
import { command, restoreLatest } from '../helpers/round-trip.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../helpers/temporary-directory.ts'

const odd = 'Odd name.ü'
const oddSource = memberName('fleet', odd)
let server: ThrowawayServer
let directory: TemporaryDirectory
let installation: Installation

beforeAll(async () => {
  server = await startThrowawayServer()
  for (const name of ['crm', 'scratch_1', odd]) await query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
  for (const name of ['crm', odd]) await query(`CREATE TABLE thing AS SELECT '${name}' AS name`, name)
  directory = await temporaryDirectory()
  const file = directory.join('fleet.yaml')
  await writeFile(
    file,
    `servers:
  main: { url: ${JSON.stringify(server.connectionString)} }
  away: { url: 'postgresql://nobody@127.0.0.1:1/postgres' }
sources:
  fleet: { server: main, database: '*', schedule: false, exclude: { databases: [postgres, scratch*] } }
  lost: { server: away, database: '*', schedule: false }
`,
  )
  installation = await startInstallation({ BACKUP_CONFIG: file })
})
afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  await directory.remove()
  await server.stop()
})

async function query(sql: string, database = 'postgres'): Promise<pg.QueryResult<Record<string, unknown>>> {
  const { hosts, user, password } = server.connection
  const client = new pg.Client({ ...hosts[0], user, password: password?.reveal(), database })
  await client.connect()
  return await client.query<Record<string, unknown>>(sql).finally(() => client.end())
}

/** Asks for a run as a program would that knows nothing but a name. */
async function request(source: string, database?: string): Promise<string> {
  const now = new Date()
  const { run } = await requestRun(installation.queues, newRunId(source, now), {
    v: 1,
    source,
    database,
    requestedBy: 'test',
    requestedAt: now.toISOString(),
    options: {},
  })
  return run
}

const report = (run: string) =>
  readReport(installation.storage, parseRunId(run)?.source ?? '', run, new KeyRing(installation.config.keys))

async function failure(...args: string[]): Promise<{ code: number; stderr: string }> {
  return await command(installation, ...args).then(
    () => {
      throw new Error('It was expected to fail.')
    },
    (error: unknown) => error as { code: number; stderr: string },
  )
}

describe('every database of a server', () => {
  it('is backed up by a run of its own, but for those that are left out; one of them is restored by its odd name', async () => {
    await using worker = await installation.startWorker()
    const run = await request('fleet')
    const job = await installation.ended(run)
    const { runs } = job.returnvalue as { runs: string[] }
    expect(runs.map((id) => parseRunId(id)?.source).sort()).toEqual([oddSource, 'fleet-crm'].sort())
    expect(runs.every((id) => id.endsWith(run.slice('fleet'.length)))).toBe(true)
    for (const id of runs)
      expect((await installation.ended(id)).returnvalue).toMatchObject({ outcome: 'success' })
    expect(await report(run)).toMatchObject({ outcome: 'success', runs, destinations: [], warnings: [] })
    await worker.kill('SIGTERM')

    const { comparison } = await restoreLatest(installation, 'back', '--source', oddSource)
    expect(comparison).toMatchObject({ differences: [], compared: { tables: 1, rows: 1 } })
    expect((await query('SELECT name FROM thing', 'back')).rows).toEqual([{ name: odd }])
    await query('DROP DATABASE back')
  })

  it('is looked up anew each time, also for a schedule, and one that is gone is said', async () => {
    await using worker = await installation.startWorker()
    await query('CREATE DATABASE later')
    const fired = await installation.queues.get('schedule').add('schedule', { v: 1, source: 'fleet' })
    let run: string | undefined
    while (run === undefined) {
      const job = await installation.queues.get('schedule').getJob(fired.id ?? '')
      run = (job?.returnvalue as { run?: string } | null | undefined)?.run
    }
    const { runs } = (await installation.ended(run)).returnvalue as { runs: string[] }
    expect(runs.map((id) => parseRunId(id)?.source)).toContain('fleet-later')
    for (const id of runs) await installation.ended(id)
    await query('DROP DATABASE later')

    const gone = await request('fleet-later', 'later')
    expect((await installation.ended(gone)).failedReason).toMatch(
      /database of fleet-later is gone: .*no database "later"/,
    )
    const alone = await installation.ended(await request('fleet-crm'))
    expect(alone.returnvalue).toMatchObject({ outcome: 'success' })
    const excluded = await installation.ended(await request('fleet-scratch_1'))
    expect(excluded.failedReason).toMatch(/“scratch_1” is left out of fleet/)
    await worker.kill('SIGTERM')
  })

  it('can be asked for by programs that know only its name, whose hash the worker looks up', async () => {
    await using worker = await installation.startWorker()
    const { queues, config } = installation
    const now = new Date()
    const ask = (source: string) =>
      requestTriggered(queues, config, parseTrigger({ source }), {
        by: 'test',
        at: now,
        id: newRunId(source, now),
      })
    const { run } = await ask(oddSource)
    const job = await installation.ended(run)
    expect(job.returnvalue).toMatchObject({ outcome: 'success' })
    expect(job.data).toMatchObject({ database: odd })
    const nowhere = (await ask('fleet-nowhere-00000000')).run
    expect((await installation.ended(nowhere)).failedReason).toMatch(
      /fleet has no database that is called “fleet-nowhere-00000000”.*\[SOURCE_UNKNOWN\]/,
    )
    expect(await report(nowhere)).toMatchObject({ outcome: 'failed', code: 'SOURCE_UNKNOWN' })
    const away = (await ask('lost-nowhere-00000000')).run
    expect(await report((await installation.ended(away)).id ?? '')).toMatchObject({
      outcome: 'failed',
      code: 'DATABASE_UNREACHABLE',
    })
    await worker.kill('SIGTERM')
  })

  it('is asked for once, also when the worker dies that has just done it', async () => {
    await using first = await installation.startWorker('run:asked')
    const run = await request('fleet')
    await first.held
    await first.kill('SIGKILL')
    await using second = await installation.startWorker()
    const { runs } = (await installation.ended(run)).returnvalue as { runs: string[] }
    for (const id of runs)
      expect((await installation.ended(id)).returnvalue).toMatchObject({ outcome: 'success' })
    const ids = (await installation.queues.get('run').getJobs()).map(({ id }) => id ?? '')
    const made = ids.filter((id) => id.startsWith('fleet-') && id.endsWith(run.slice('fleet'.length)))
    expect(made.sort()).toEqual([...runs].sort())
    const reports = await Promise.all(runs.map(report))
    expect(reports.map((one) => one?.overlaps)).toEqual(runs.map(() => 0))
    await second.kill('SIGTERM')
  })

  it('whose server does not answer is asked again, and then fails where people look', async () => {
    await using worker = await installation.startWorker()
    const run = await request('lost')
    const job = await installation.ended(run)
    expect(await job.getState()).toBe('failed')
    expect(job.failedReason).toMatch(/Nothing answers at 127\.0\.0\.1:1.*\[DATABASE_UNREACHABLE\]/)
    expect(await report(run)).toMatchObject({
      outcome: 'failed',
      code: 'DATABASE_UNREACHABLE',
      reason: expect.stringMatching(
        /^The databases of lost could not be looked up, and none is backed up: Nothing answers/,
      ),
    })
    const told = await installation.queues.get('notify').getJob(jobIds.notify(run, 0, 'log'))
    expect(told?.data).toMatchObject({ message: { outcome: 'failed', source: 'lost' } })
    const { stdout } = await command(installation, 'status')
    expect(stdout).toMatch(/ {2}lost: failed at .*could not be looked up/)
    await worker.kill('SIGTERM')
  })

  it('is named, listed and backed up on the command line', async () => {
    await using worker = await installation.startWorker()
    expect(await failure('backup')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/several sources.*shop, fleet, lost; or --all/s),
    })
    expect(await failure('enqueue-job', 'fleet-crmm')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining(`Write one of: ${oddSource}, fleet-crm.`),
    })
    expect(await failure('enqueue-job', 'nothing')).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/shop, fleet, lost, .*fleet-crm/),
    })
    const one = await command(installation, 'backup', oddSource, '--json')
    expect(JSON.parse(one.stdout)).toMatchObject({ outcome: 'success', source: oddSource })
    const group = await command(installation, 'backup', 'fleet', '--json')
    const { runs } = JSON.parse(group.stdout) as { runs: { source: string; outcome: string }[] }
    expect(runs.map(({ source, outcome }) => `${source} ${outcome}`).sort()).toEqual(
      ['fleet success', `${oddSource} success`, 'fleet-crm success'].sort(),
    )
    await command(installation, 'pause', 'shop')
    const stderr = expect.stringMatching(/^shop is left out\. Backups of shop are paused since/m)
    expect(await failure('backup', '--all')).toMatchObject({ code: 8, stderr })
    await command(installation, 'resume', 'shop')
    const list = await command(installation, 'list', 'fleet', '--json')
    const sources = (JSON.parse(list.stdout) as { backups: { source: string }[] }).backups
    expect(new Set(sources.map(({ source }) => source))).toEqual(
      new Set([oddSource, 'fleet-crm', 'fleet-later']),
    )
    expect((await command(installation, 'prune', 'fleet', '--dry-run')).stdout).toContain('fleet-crm.')
    expect((await command(installation, 'verify', 'latest', '--source', 'fleet-crm')).stdout).toContain(
      'is good',
    )
    await worker.kill('SIGTERM')
  })
})
