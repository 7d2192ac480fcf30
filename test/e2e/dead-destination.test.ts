import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { expectWithoutFar, startTwoPlaces, type TwoPlaces } from '../helpers/two-places.ts'

jest.setTimeout(180_000)

/** What else befalls two places is in dead-destination.full.test.ts and stalled-destination.full.test.ts. */
describe('a backup to two places', () => {
  let places: TwoPlaces

  beforeAll(async () => {
    places = await startTwoPlaces(1)
    await places.installation.database.query(`CREATE TABLE notes AS SELECT 'all of it' AS text`)
  })
  afterAll(async () => {
    await places[Symbol.asyncDispose]()
  })

  it('is made at one of them where nothing answers at the other, and can be restored from there', async () => {
    await using worker = await places.installation.startWorker()
    await places.gate.close()
    expectWithoutFar(await places.backUp(), /does not answer: .*ECONNREFUSED/)
    expect((await places.restoreFrom('local')).comparison?.differences).toEqual([])
    await worker.kill('SIGTERM')
  })
})
