import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { expectWithoutFar, standing, startTwoPlaces, type TwoPlaces } from '../helpers/two-places.ts'

jest.setTimeout(900_000)

const limit = 600_000
/** The least that a dump needs: four batches of 40 MiB, each as it is made ready. */
const spool = 480

/** So many MiB of rows, of which no two are alike. */
const rows = (mebibytes: number) =>
  `SELECT n, repeat(md5(n::text || 'of ${String(mebibytes)}'), 32) AS text FROM generate_series(1, ${String(mebibytes * 1000)}) AS n`

describe('a store that accepts and never answers', () => {
  let places: TwoPlaces

  beforeAll(async () => {
    places = await startTwoPlaces(2, {
      BACKUP_STALL_MINUTES: '1',
      BACKUP_SPOOL_LIMIT: `${String(spool)}MiB`,
      WORKER_CONCURRENCY_DUMP: '1',
    })
  })
  afterEach(() => places.gate.open())
  afterAll(async () => {
    await places[Symbol.asyncDispose]()
  })

  /** Backs up with a store that falls silent after so many bytes, and restores from the good one. */
  async function backUpSilenced(after: number, why: RegExp): Promise<void> {
    await using worker = await places.installation.startWorker()
    places.gate.silence(after)
    const report = await places.backUp(limit)
    expectWithoutFar(report, why)
    expect(report.durations).toBeDefined()
    console.log(JSON.stringify({ after, durations: report.durations }))
    expect((await places.restoreFrom('local')).comparison?.differences).toEqual([])
    await worker.kill('SIGTERM')
  }

  it('in the middle of a database that fits the spool: is left out after the stall time, not after all tries', async () => {
    await places.installation.database.query(`CREATE TABLE notes AS ${rows(60)}`)
    await backUpSilenced(100_000, /Nothing was stored in far for 1 minutes/)
  })

  it('from the beginning, with a database of three times the spool', async () => {
    await places.installation.database.query(`CREATE TABLE many AS ${rows(3 * spool)}`)
    await backUpSilenced(0, /gs:\/\/backups\/ (does not answer|did not answer within)/)
  })

  it('in the middle of a database of three times the spool', async () => {
    await places.installation.database.query(`UPDATE many SET text = repeat(md5(text), 32)`)
    await backUpSilenced(2_000_000, /Nothing was stored in far for 1 minutes/)
  })

  it('has all of it at the next run, once it answers', async () => {
    await using worker = await places.installation.startWorker()
    const report = await places.backUp(limit)
    expect(standing(report)).toEqual({ outcome: 'success', local: 'verified', far: 'verified' })
    expect((await places.restoreFrom('far')).comparison?.differences).toEqual([])
    await worker.kill('SIGTERM')
  })
})
