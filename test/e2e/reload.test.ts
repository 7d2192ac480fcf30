import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { readSchedules, requestRun } from '@securyflex/shared/queue'
import { layout, newRunId } from '@securyflex/shared/repository'
import { openStorageForReading } from '@securyflex/shared/storage'
import { type Installation, startInstallation, type WorkerProcess } from '../helpers/installation.ts'

jest.setTimeout(180_000)

let installation: Installation
let worker: WorkerProcess
let producer: WorkerProcess

beforeEach(async () => {
  installation = await startInstallation()
  ;[worker, producer] = [await installation.startWorker(), await installation.startProducer()]
})
afterEach(async () => {
  await installation[Symbol.asyncDispose]()
})

const directory = () => dirname(installation.config.directory)

/** Writes the file and has both processes read it. */
async function change(yaml: string): Promise<string[]> {
  await writeFile(join(directory(), 'backup.config.yaml'), yaml)
  return Promise.all([worker, producer].map(hangUp))
}

async function hangUp({ process: child }: WorkerProcess): Promise<string> {
  const answer = once(child, 'message') as Promise<[{ at: string }]>
  child.kill('SIGHUP')
  const [{ at }] = await answer
  return at
}

async function schedules(): Promise<string[]> {
  return (await readSchedules(installation.queues)).map(({ source, cron }) => `${source} ${cron}`).sort()
}

async function backUp(source: string): Promise<string> {
  const now = new Date()
  const { run } = await requestRun(installation.queues, newRunId(source, now), {
    v: 1,
    source,
    requestedBy: 'test',
    requestedAt: now.toISOString(),
    options: {},
  })
  return run
}

const withWiki = (schedule: string) => `
destinations:
  second: { kind: local, directory: second }
sources:
  wiki:
    url: ${installation.database.url}
    schedule: ${schedule}
`

describe('a changed configuration', () => {
  it('takes effect at SIGHUP: sources, their schedules and destinations come, change and go', async () => {
    expect(await schedules()).toEqual(['shop 0 2 * * *'])
    expect(await change(withWiki('"@weekly"'))).toEqual(['reloaded', 'reloaded'])
    expect(await schedules()).toEqual(['shop 0 2 * * *', 'wiki @weekly'])

    const run = await backUp('wiki')
    await installation.ended(run)
    const second = openStorageForReading({
      kind: 'local',
      name: 'second',
      directory: join(directory(), 'second'),
    })
    expect(await second.stat(layout.manifest('wiki', run))).toBeDefined()

    await change(withWiki('["@daily", "0 5 * * 1"]'))
    expect(await schedules()).toEqual(['shop 0 2 * * *', 'wiki 0 5 * * 1', 'wiki @daily'])
    await change('defaults: { schedule: "30 3 * * *" }\n')
    expect(await schedules()).toEqual(['shop 30 3 * * *'])
    const refused = await installation.ended(await backUp('wiki'))
    expect(refused.failedReason).toContain('There is no source “wiki”.')
  })

  it('that is wrong changes nothing, in part or whole', async () => {
    await change(withWiki('"@weekly"'))
    expect(await change(withWiki('"@wekly"'))).toEqual(['refused', 'refused'])
    expect(await schedules()).toEqual(['shop 0 2 * * *', 'wiki @weekly'])
    const job = await installation.ended(await backUp('wiki'))
    expect(job.failedReason).toBeUndefined()
  })

  it('leaves a run under way alone, also when its source is removed', async () => {
    await installation.database.query(
      'CREATE TABLE big AS SELECT n, md5(n::text) AS text FROM generate_series(1, 400000) AS n',
    )
    await change(withWiki('"@weekly"'))
    const run = await backUp('wiki')
    while ((await installation.queues.get('dump').getActiveCount()) === 0) {
      await new Promise((done) => setTimeout(done, 10))
    }
    await change('{}\n')
    expect(await schedules()).toEqual(['shop 0 2 * * *'])
    const job = await installation.ended(run)
    expect(job.failedReason).toBeUndefined()
    expect(job.returnvalue).toMatchObject({ outcome: 'success' })
  })
})
