import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { expectWithoutFar, standing, startTwoPlaces, type TwoPlaces } from '../helpers/two-places.ts'

jest.setTimeout(900_000)

const limit = 600_000
/** The least that a dump needs: four batches of 40 MiB, each as it is made ready. */
const spool = 500

/** So many MiB of rows, of which no two are alike, nor like those of another `salt`. */
const rows = (mebibytes: number, salt: string) =>
  `SELECT n, repeat(md5(n::text || '${salt}'), 32) AS text FROM generate_series(1, ${String(mebibytes * 1000)}) AS n`

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
    expect((await places.restoreFrom('local')).comparison?.differences).toEqual([])
    await worker.kill('SIGTERM')
  }

  it('in the middle of a database that fits the spool: is left out after the stall time, not after all tries', async () => {
    await places.installation.database.query(`CREATE TABLE notes AS ${rows(60, 'few')}`)
    await backUpSilenced(100_000, /Nothing was stored in far for 1 minutes/)
  })

  it('from the beginning, with a database of three times the spool', async () => {
    await places.installation.database.query(`CREATE TABLE many AS ${rows(3 * spool, 'many')}`)
    await backUpSilenced(0, /gs:\/\/backups\/ .*(does not answer|did not answer within)/)
  })

  it('in the middle of a database of three times the spool', async () => {
    await places.installation.database.query(`TRUNCATE many; INSERT INTO many ${rows(3 * spool, 'more')}`)
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
