import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import {
  content,
  keyRing,
  source,
  testRepository,
  type TestRepository,
} from '../../../../test/helpers/repository.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { copyBackup, readKeyRecords, scrub, type ScrubOptions, vouchingKey } from './index.ts'

const now = new Date()
const signal = new AbortController().signal
const run = 'shop.20261123T020000Z.0001'
let repository: TestRepository
let directory: TemporaryDirectory
let far: Storage
let name: string
let record: Buffer

beforeEach(async () => {
  repository = await testRepository()
  directory = await temporaryDirectory()
  far = await openStorage({ kind: 'local', name: 'far', directory: directory.path })
  await repository.backUp({ run, streams: { archive: content(1).subarray(0, 300_000) } })
  const { storage, keys } = repository
  const copying = { from: storage, to: far, source, run, keys, installation: undefined, now, signal }
  await copyBackup(copying)
  const key = await vouchingKey(storage, keys)
  name = `keys/${key?.id ?? ''}.json`
  record = (await storage.get(name)) ?? Buffer.alloc(0)
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
  await directory.remove()
})

const scrubbed = (more: Partial<ScrubOptions> = {}) =>
  scrub({
    ...{ storage: far, others: [repository.storage], source, keys: repository.keys },
    ...{ installation: undefined, share: 1, now, signal },
    ...more,
  })

const cutOff = () => record.subarray(0, 100)
/** As whole as before to who does not open it. */
const altered = () => {
  const parsed = JSON.parse(record.toString()) as { wrapped: string }
  const other = parsed.wrapped.endsWith('0') ? '1' : '0'
  return Buffer.from(JSON.stringify({ ...parsed, wrapped: parsed.wrapped.slice(0, -1) + other }))
}

describe('a scrub of a place with a damaged key record', () => {
  it.each([
    ['cut off', cutOff],
    ['altered', altered],
  ])('stores one that is %s again as another place has it', async (_, damage) => {
    await far.put(name, damage())
    expect(await scrubbed()).toMatchObject({ keyRecords: [name], findings: [], unreadable: [] })
    expect(await far.get(name)).toEqual(record)
    expect(await scrubbed()).toMatchObject({ keyRecords: [] })
  })

  it('stores it again as a backup holds it, where no other place has it', async () => {
    await far.put(name, cutOff())
    await repository.storage.put(name, cutOff())
    expect(await scrubbed()).toMatchObject({ keyRecords: [name] })
    expect(await far.get(name)).toEqual(record)
    expect(await scrubbed({ others: [] })).toMatchObject({ keyRecords: [] })
  })

  it('says where it is and what to do, if nothing may be changed or no key of it is configured', async () => {
    await far.put(name, cutOff())
    const told = {
      code: 'MANIFEST_DAMAGED',
      message: `${name} at far (${directory.path}) is damaged: it cannot be read.`,
      hint: expect.stringContaining('scrub --destination far ') as unknown,
    }
    await expect(scrubbed({ dryRun: true })).rejects.toMatchObject(told)
    await expect(scrubbed({ keys: keyRing() })).rejects.toMatchObject(told)
    expect(await far.get(name)).toEqual(cutOff())
  })

  it('leaves the records of keys that are not configured alone', async () => {
    await expect(scrubbed({ keys: keyRing() })).rejects.toMatchObject({ code: 'OTHER_INSTALLATION' })
    expect(await readKeyRecords(far)).toEqual([JSON.parse(record.toString())])
  })
})

describe('what opens the keys of a place', () => {
  it('says where a record is that was altered', async () => {
    await far.put(name, altered())
    await expect(vouchingKey(far, keyRing(repository.secret))).rejects.toMatchObject({
      message: `${name} at far (${directory.path}) is damaged: it was altered.`,
    })
  })
})
