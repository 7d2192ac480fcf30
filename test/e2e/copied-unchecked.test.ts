import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { KeyRing } from '@securyflex/shared/keys'
import { BackupReader, layout, readBackup } from '@securyflex/shared/repository'
import { openStorageForReading } from '@securyflex/shared/storage'
import { command } from '../helpers/round-trip.ts'
import { standing, startTwoPlaces, type TwoPlaces } from '../helpers/two-places.ts'

jest.setTimeout(180_000)

describe('a worker that dies between the copy of a backup and its check', () => {
  let places: TwoPlaces

  beforeAll(async () => {
    places = await startTwoPlaces(2, { WORKER_LOCK_DURATION: '4000', WORKER_STALLED_INTERVAL: '1000' })
    await places.installation.database.query(
      `CREATE TABLE notes AS SELECT n, repeat(md5(n::text), 8) AS text FROM generate_series(1, 40000) AS n`,
    )
  })
  afterAll(async () => {
    await places[Symbol.asyncDispose]()
  })

  it('leaves one that does not count as good; the next worker reads it back and heals it', async () => {
    const { installation, gate } = places
    const { queues } = installation
    await using first = await installation.startWorker()
    expect(standing(await places.backUp()).outcome).toBe('success')
    // One that was still looking for gaps would fill this one as soon as it can.
    await until(async () => (await queues.get('copy').getCompletedCount()) === 2)
    await gate.close()
    const { run } = await places.backUp()
    await gate.open()
    await first.kill('SIGTERM')

    await using held = await installation.startWorker('copy:sealed')
    expect(standing(await places.backUp()).outcome).toBe('success')
    await held.held
    await held.kill('SIGKILL')
    await spoil(run)
    expect(await listedAtFar(run)).toMatchObject({ state: 'readable', incomplete: true })

    await using next = await installation.startWorker()
    await until(async () => (await queues.get('copy').getCompletedCount()) === 5)
    expect(await queues.get('copy').getFailedCount()).toBe(0)
    expect(await listedAtFar(run)).toMatchObject({ state: 'readable', incomplete: false })
    expect((await places.restoreFrom('far', run)).comparison?.differences).toEqual([])
    await next.kill('SIGTERM')
  })

  /** Changes a byte of each segment of the archive that lies at far. */
  async function spoil(run: string): Promise<void> {
    const { config, source } = places.installation
    const destination = config.destinations.find(({ name }) => name === 'far')
    if (destination === undefined) throw new Error('no such destination')
    const far = openStorageForReading(destination)
    const reader = new BackupReader(far, await readBackup(far, source, run, new KeyRing(config.keys)))
    const archive = reader.stream('archive')
    if (archive === undefined) throw new Error('no archive')
    for await (const { id } of reader.entries(archive)) {
      const name = layout.segment(source, id)
      const bytes = Buffer.from((await far.get(name)) ?? '')
      bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1
      await far.put(name, bytes)
    }
  }

  async function listedAtFar(run: string): Promise<object | undefined> {
    const { stdout } = await command(places.installation, 'list', '--destination', 'far', '--json')
    const { backups } = JSON.parse(stdout) as { backups: { run: string }[] }
    return backups.find((one) => one.run === run)
  }
})

async function until(is: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await is())) {
    if (Date.now() > deadline) throw new Error('it did not come to that')
    await wait(50)
  }
}
