import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { command } from '../helpers/round-trip.ts'
import { standing, startTwoPlaces, type TwoPlaces } from '../helpers/two-places.ts'

jest.setTimeout(180_000)

/** The same each time they are asked for, and as good as incompressible. */
const rows = `SELECT n, (SELECT string_agg(md5(n || '-' || m), '') FROM generate_series(1, 400) AS m) AS text
   FROM generate_series(1, 1000) AS n ORDER BY n`

describe('a run while a backup is copied to where it builds upon an older one', () => {
  let places: TwoPlaces

  beforeAll(async () => {
    places = await startTwoPlaces(1, { BACKUP_RETENTION_LAST: '1', BACKUP_RETENTION_MINIMUM: '1' })
    await places.installation.database.query(`CREATE TABLE notes AS ${rows}`)
  })
  afterAll(async () => {
    await places[Symbol.asyncDispose]()
  })

  it('is good at both, although the copy names less and a prune came between', async () => {
    const { installation, gate } = places
    const { database, queues } = installation
    await using worker = await installation.startWorker()
    const first = await places.backUp()
    expect(standing(first).outcome).toBe('success')

    // Far misses a backup of the database without its rows.
    await database.query('TRUNCATE notes')
    await gate.close()
    const missed = await places.backUp()
    expect(standing(missed)).toMatchObject({ local: 'verified', far: 'failed' })
    await gate.open()

    await database.query(`INSERT INTO notes ${rows}`)
    await queues.get('seal').pause()
    const run = await installation.request()
    await until(async () => (await queues.get('seal').getWaitingCount()) === 2)
    await command(installation, 'copy', missed.run, '--from', 'local', '--to', 'far')
    const pruned = await command(installation, 'prune', '--destination', 'far', '--yes', '--json')
    const { plans } = JSON.parse(pruned.stdout) as { plans: { decisions: object[] }[] }
    expect(plans.flatMap(({ decisions }) => decisions)).toEqual([
      expect.objectContaining({ run: missed.run, keep: true }),
      {
        run: first.run,
        keep: true,
        why: 'a run that is under way may be building upon it',
        bytes: null,
      },
    ])
    await queues.get('seal').resume()
    await installation.ended(run)
    const report = await installation.report(run)
    if (report === undefined) throw new Error('no report')
    expect(standing(report)).toEqual({ outcome: 'success', local: 'verified', far: 'verified' })
    // It stored next to nothing there: what it needs came with the first.
    const far = report.destinations.find(({ name }) => name === 'far')
    expect(far?.stored?.bytes).toBeLessThan((first.destinations[0]?.stored?.bytes ?? 0) / 2)
    expect((await places.restoreFrom('far')).comparison?.differences).toEqual([])
    // Once the run has ended, nothing is kept for it.
    await command(installation, 'prune', '--destination', 'far', '--yes')
    const listed = await command(installation, 'list', '--destination', 'far', '--json')
    expect(JSON.parse(listed.stdout)).toMatchObject({ backups: [{ run }] })
    await worker.kill('SIGTERM')
  })
})

async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await is())) {
    if (Date.now() > deadline) throw new Error('it did not come to that')
    await wait(50)
  }
}
