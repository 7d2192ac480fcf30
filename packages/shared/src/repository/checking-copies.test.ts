import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import {
  backUpTo,
  content,
  indexOf,
  source,
  testRepository,
  type TestRepository,
} from '../../../../test/helpers/repository.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import {
  BackupReader,
  checkCopy,
  copyBackup,
  layout,
  makePrunePlan,
  readBackup,
  readScrubRecord,
  scrub,
  type Scrubbed,
  uncheckedCopies,
  unhealedRuns,
} from './index.ts'

const now = new Date('2026-11-25T12:00:00Z')
const signal = new AbortController().signal
const [monday, tuesday] = ['shop.20261123T020000Z.0001', 'shop.20261124T020000Z.0002'] as const
const wednesday = 'shop.20261125T020000Z.0003'
let repository: TestRepository
let directory: TemporaryDirectory
let far: Storage
/** Of monday and tuesday. */
let archive: Buffer
let ids: Buffer[]

/** Far has monday's backup, and missed tuesday's, which is of the same rows. */
beforeEach(async () => {
  repository = await testRepository()
  directory = await temporaryDirectory()
  far = await openStorage({ kind: 'local', name: 'far', directory: directory.path })
  archive = content(12)
  const opened = await repository.backUp({ run: monday, streams: { archive } })
  const index = await indexOf(repository.storage, opened)
  const lists = new Set(opened.manifest.streams.flatMap(({ list }) => list.map(({ id }) => id)))
  ids = [...index].map(({ id }) => Buffer.from(id)).filter((id) => !lists.has(id.toString('hex')))
  await copy(monday)
  await check(monday)
  await repository.backUp({ run: tuesday, streams: { archive } })
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
  await directory.remove()
})

const common = () => ({ to: far, source, keys: repository.keys, installation: undefined, now, signal })
const copy = (run: string) => copyBackup({ ...common(), from: repository.storage, run })
const check = (run: string, others: Storage[] = [repository.storage]) => {
  const told: Scrubbed[] = []
  return checkCopy({ ...common(), run, others, onScrubbed: (scrubbed) => told.push(scrubbed) }).then(
    (checked) => ({ checked, told }),
  )
}
const notGood = () => unhealedRuns(far, source, repository.keys)
const unchecked = () => uncheckedCopies(far, source, repository.keys)
const pathOf = (id: Buffer | undefined) => directory.join(layout.segment(source, id ?? Buffer.alloc(32)))

/** Changes a byte, as rot does: name and size stay. */
async function flip(path: string): Promise<void> {
  const bytes = await readFile(path)
  bytes[bytes.length - 3] = (bytes[bytes.length - 3] ?? 0) ^ 1
  await writeFile(path, bytes)
}

async function bytesAtFar(run: string): Promise<Buffer> {
  const reader = new BackupReader(far, await readBackup(far, source, run, repository.keys))
  const stream = reader.stream('archive')
  if (stream === undefined) throw new Error('no archive')
  return reader.readAll(stream)
}

async function whatPruneKeeps() {
  const { decisions } = await makePrunePlan({
    ...{ storage: far, source, keys: repository.keys, installation: undefined, now, signal },
    acceptChecksums: false,
    retention: { days: 0, last: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, minimum: 1 },
    timeZone: 'UTC',
    unsound: () => notGood(),
  })
  return decisions.filter(({ keep }) => keep).map(({ run }) => run)
}

describe('the check of a copy', () => {
  it('heals from another destination what the copy builds upon and is bad, and finds it good then', async () => {
    await flip(pathOf(ids[0]))
    await truncate(pathOf(ids[1]), 99)
    await copy(tuesday)
    await rm(pathOf(ids[2]))
    const { checked, told } = await check(tuesday)
    expect(checked).toMatchObject({ listed: 0 })
    expect(told).toHaveLength(1)
    expect(told[0]?.findings.map(({ fate }) => fate)).toEqual(
      told[0]?.findings.map(() => ({ outcome: 'healed', from: 'local' })),
    )
    expect(told[0]?.findings.length).toBeGreaterThanOrEqual(2)
    expect(await notGood()).toEqual(new Set())
    expect((await bytesAtFar(tuesday)).equals(archive)).toBe(true)
    expect((await bytesAtFar(monday)).equals(archive)).toBe(true)
  })

  it('puts down which backups miss what no other has, until a run has stored it again', async () => {
    await copy(tuesday)
    await flip(pathOf(ids[0]))
    await expect(check(tuesday, [])).rejects.toMatchObject({
      code: 'SEGMENT_TAMPERED',
      hint: expect.stringContaining('npx --no securyflex-backup scrub shop --destination far'),
    })
    await expect(readFile(pathOf(ids[0]))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await notGood()).toEqual(new Set([tuesday, monday]))
    expect(await unchecked()).toEqual([tuesday])
    // None of them is the newest good one: nothing is given up for it.
    expect(await whatPruneKeeps()).toEqual([tuesday, monday])
    await expect(check(tuesday, [])).rejects.toMatchObject({ code: 'SEGMENT_MISSING' })

    const built = await backUpTo(far, repository.keys, 'aes-256-gcm', {
      run: wednesday,
      streams: { archive },
    })
    // What was bad, and the list, which says how it is sealed now.
    expect(built.manifest.stored.segments).toBe(2)
    expect((await bytesAtFar(wednesday)).equals(archive)).toBe(true)
    await expect(check(tuesday, [])).resolves.toMatchObject({ checked: { listed: 0 } })
    expect(await notGood()).toEqual(new Set())
    expect(await unchecked()).toEqual([])
  })

  it('is due until it has ended good: before it the copy does not count as good there', async () => {
    await copy(tuesday)
    expect(await unchecked()).toEqual([tuesday])
    expect(await notGood()).toEqual(new Set([tuesday]))
    // Doing it again, as after the death of a worker, is no check.
    expect(await copy(tuesday)).toMatchObject({ fresh: false })
    expect(await unchecked()).toEqual([tuesday])
    await check(tuesday)
    expect(await unchecked()).toEqual([])
    expect(await notGood()).toEqual(new Set())
  })

  it('is not due any more once a scrub has read back all there is', async () => {
    await copy(tuesday)
    const scrubbing = { storage: far, others: [], source, keys: repository.keys, installation: undefined }
    await scrub({ ...scrubbing, share: 0.5, now, signal })
    expect(await unchecked()).toEqual([tuesday])
    const { checked } = await readScrubRecord(far, source, repository.keys)
    expect(checked).toContain(null)
    await scrub({ ...scrubbing, share: 1, now, signal })
    expect(await unchecked()).toEqual([])
  })
})
