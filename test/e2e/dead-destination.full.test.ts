import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { cancelRun } from '@securyflex/shared/queue'
import { command } from '../helpers/round-trip.ts'
import { expectWithoutFar, standing, startTwoPlaces, type TwoPlaces } from '../helpers/two-places.ts'

jest.setTimeout(180_000)

/** Random bytes, which do not compress: every batch of them is sent as it is. */
const rows = (from: number, to: number) =>
  `SELECT n, (SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, 400) AS m) AS text
   FROM generate_series(${String(from)}, ${String(to)}) AS n`

describe('a backup to two places', () => {
  let places: TwoPlaces

  beforeAll(async () => {
    places = await startTwoPlaces(1)
    await places.installation.database.query(`CREATE TABLE notes AS ${rows(1, 300)}`)
  })
  afterEach(() => places.gate.open())
  afterAll(async () => {
    await places[Symbol.asyncDispose]()
  })

  it('is made at one of them where nothing answers at the other from the first run on, and at both once it does', async () => {
    await using worker = await places.installation.startWorker()
    await places.gate.close()
    const missed = await places.backUp()
    expectWithoutFar(missed, /does not answer: .*ECONNREFUSED/)
    expect((await places.restoreFrom('local')).comparison?.differences).toEqual([])

    await places.gate.open()
    expect(standing(await places.backUp())).toEqual({
      outcome: 'success',
      local: 'verified',
      far: 'verified',
    })
    expect((await places.restoreFrom('far')).comparison?.differences).toEqual([])
    await until(async () => (await places.installation.queues.get('copy').getCompletedCount()) === 3)
    expect((await places.restoreFrom('far', missed.run)).comparison?.differences).toEqual([])
    await worker.kill('SIGTERM')
  })

  it('is made at one of them where the other takes everything and never answers', async () => {
    await using worker = await places.installation.startWorker()
    places.gate.silence()
    await places.installation.database.query(`INSERT INTO notes ${rows(301, 400)}`)
    expectWithoutFar(await places.backUp(), /gs:\/\/backups\/ .*(does not answer|did not answer within)/)
    expect((await places.restoreFrom('local')).comparison?.differences).toEqual([])
    await worker.kill('SIGTERM')
  })

  it('can be brought by hand to the one that missed it', async () => {
    const copied = await command(places.installation, 'copy', 'latest', '--to', 'far', '--json')
    expect(JSON.parse(copied.stdout)).toMatchObject({ from: 'local', to: 'far', fresh: true })
    expect((await places.restoreFrom('far')).comparison?.differences).toEqual([])
    const again = await command(places.installation, 'copy', 'latest', '--to', 'far')
    expect(again.stdout).toMatch(/ is at far already, and is good\.$/m)
  })

  it('can be listed and restored where one of the places does not answer', async () => {
    await places.gate.close()
    const listed = await command(places.installation, 'list', '--json')
    expect(listed.stdout).toContain('"destination": "local"')
    expect(listed.stderr).toContain('gs://backups/')
  })
})

describe('a backup to two places, one of which falls silent in the middle', () => {
  let places: TwoPlaces

  beforeAll(async () => {
    places = await startTwoPlaces(3600)
    await places.installation.database.query(`CREATE TABLE notes AS ${rows(1, 1000)}`)
  })
  afterAll(async () => {
    await places[Symbol.asyncDispose]()
  })

  it('can be cancelled while a request waits for its answer', async () => {
    const { installation, gate } = places
    await using worker = await installation.startWorker()
    gate.silence(4 * 1024 * 1024)
    const run = await installation.request()
    await gate.silent
    await cancelRun(installation.queues.redis, run)
    await installation.ended(run)
    expect(await installation.report(run)).toMatchObject({ outcome: 'cancelled' })
    expect(await installation.spoolRuns()).toEqual([])
    await worker.kill('SIGTERM')
  })
})

async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await is())) {
    if (Date.now() > deadline) throw new Error('it did not come to that')
    await wait(50)
  }
}
