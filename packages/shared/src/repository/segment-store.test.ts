import { randomBytes } from 'node:crypto'
import { readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { createKeyRecord, openKeyRecord } from '@securyflex/shared/keys'
import { Sealer } from '@securyflex/shared/segments'
import { source, testRepository, type TestRepository } from '../../../../test/helpers/repository.ts'
import { layout, storeSegment } from './index.ts'
import { readSegment } from './segment-store.ts'

const day = 24 * 60 * 60 * 1000
let repository: TestRepository
let sealer: Sealer

async function newSealer(): Promise<Sealer> {
  const material = { kind: 'raw', bytes: randomBytes(32) } as const
  return new Sealer(await openKeyRecord(await createKeyRecord(material, new Date()), [material]))
}

beforeEach(async () => {
  repository = await testRepository()
  sealer = await newSealer()
})
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

function segment(plain = randomBytes(1000), under = sealer) {
  const id = under.identity.identify(plain)
  const sealed = under.seal(id, { compression: 0, bytes: plain }, plain.length, 'aes-256-gcm')
  return { id, plainLength: plain.length, sealed }
}
const store = (one: ReturnType<typeof segment>) => storeSegment(repository.storage, source, sealer, one)
const pathOf = (id: Buffer) => join(repository.directory, layout.segment(source, id))
const age = async (id: Buffer, days: number) => {
  const then = new Date(Date.now() - days * day)
  await utimes(pathOf(id), then, then)
}

describe('storing a segment', () => {
  it('stores what is not there', async () => {
    const one = segment()
    const entry = await store(one)
    expect(entry).toMatchObject({
      id: one.id,
      plainLength: 1000,
      sealedLength: one.sealed.length,
      fresh: true,
    })
    expect((await readFile(pathOf(one.id))).equals(one.sealed)).toBe(true)
  })

  it('leaves an equal one that is young and good, and names that one’s length and hash', async () => {
    const plain = randomBytes(1000)
    const [first, again] = [segment(plain), segment(plain)]
    const before = await store(first)
    await age(first.id, 4.9)
    const { mtimeMs } = await stat(pathOf(first.id))
    expect(await store(again)).toEqual({ ...before, fresh: false })
    expect((await readFile(pathOf(first.id))).equals(first.sealed)).toBe(true)
    expect((await stat(pathOf(first.id))).mtimeMs).toBe(mtimeMs)
  })

  it('renews one that could be removed before the run is sealed', async () => {
    const plain = randomBytes(1000)
    await store(segment(plain))
    const again = segment(plain)
    await age(again.id, 5.1)
    expect((await store(again)).fresh).toBe(true)
    expect((await readFile(pathOf(again.id))).equals(again.sealed)).toBe(true)
    expect(Date.now() - (await stat(pathOf(again.id))).mtimeMs).toBeLessThan(day)
  })

  it.each<[string, (bytes: Buffer) => Buffer]>([
    [
      'altered',
      (bytes) =>
        Buffer.concat([bytes.subarray(0, 500), Buffer.from([1 ^ (bytes[500] ?? 0)]), bytes.subarray(501)]),
    ],
    ['cut off', (bytes) => bytes.subarray(0, 400)],
    ['empty', () => Buffer.alloc(0)],
    ['something else', () => Buffer.from('not a segment at all')],
  ])('replaces one that is %s', async (_, damage) => {
    const plain = randomBytes(1000)
    const first = segment(plain)
    await store(first)
    await writeFile(pathOf(first.id), damage(first.sealed))
    const again = segment(plain)
    expect((await store(again)).fresh).toBe(true)
    expect((await readFile(pathOf(first.id))).equals(again.sealed)).toBe(true)
  })

  it('keeps one whole object when many store it at once', async () => {
    const plain = randomBytes(1000)
    const entries = await Promise.all(Array.from({ length: 10 }, () => store(segment(plain))))
    expect(entries.filter(({ fresh }) => fresh)).toHaveLength(1)
    expect(new Set(entries.map(({ sealedHash }) => sealedHash.toString('hex'))).size).toBe(1)
  })
})

describe('reading a segment', () => {
  const read = async (one: Awaited<ReturnType<typeof store>>) =>
    readSegment(repository.storage, source, sealer, one)

  it('gives its plain bytes', async () => {
    const plain = randomBytes(1000)
    expect((await read(await store(segment(plain)))).equals(plain)).toBe(true)
  })

  it('takes an equal one that was sealed again for as good', async () => {
    const plain = randomBytes(1000)
    const entry = await store(segment(plain))
    await writeFile(pathOf(entry.id), segment(plain).sealed)
    expect((await read(entry)).equals(plain)).toBe(true)
  })

  it('names a missing one', async () => {
    const entry = await store(segment())
    await rm(pathOf(entry.id))
    await expect(read(entry)).rejects.toMatchObject({
      code: 'SEGMENT_MISSING',
      message: expect.stringContaining(entry.id.toString('hex')),
    })
  })

  it.each([0, 1, 63, 64, 80, 500, 1079])(
    'names one of which %i bytes are left as cut off',
    async (length) => {
      const entry = await store(segment())
      await truncate(pathOf(entry.id), length)
      await expect(read(entry)).rejects.toMatchObject({
        code: 'SEGMENT_TRUNCATED',
        message: expect.stringContaining(entry.id.toString('hex')),
      })
    },
  )

  it('names an altered one, wherever a bit is flipped, and one with something added', async () => {
    const entry = await store(segment())
    const bytes = await readFile(pathOf(entry.id))
    for (const at of [0, 12, 15, 40, 64, 500, bytes.length - 1]) {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] ?? 0) ^ 4
      await writeFile(pathOf(entry.id), flipped)
      await expect(read(entry)).rejects.toMatchObject({
        code: 'SEGMENT_TAMPERED',
        message: expect.stringContaining(layout.segment(source, entry.id)),
      })
    }
    await writeFile(pathOf(entry.id), Buffer.concat([bytes, Buffer.from('x')]))
    await expect(read(entry)).rejects.toMatchObject({ code: 'SEGMENT_TAMPERED' })
  })

  it('names one that was put in another one’s place', async () => {
    const [one, other] = [await store(segment()), await store(segment())]
    await writeFile(pathOf(one.id), await readFile(pathOf(other.id)))
    await expect(read(one)).rejects.toMatchObject({ code: 'SEGMENT_TAMPERED' })
  })

  it('names one of another key as foreign, and one without encryption, too', async () => {
    const one = segment()
    const entry = await store(one)
    const plain = randomBytes(1000)
    await writeFile(pathOf(entry.id), segment(plain, await newSealer()).sealed)
    await expect(read(entry)).rejects.toMatchObject({ code: 'SEGMENT_FOREIGN' })
    const open = new Sealer(undefined)
    await writeFile(pathOf(entry.id), open.seal(one.id, { compression: 0, bytes: plain }, 1000, 'none'))
    await expect(read(entry)).rejects.toMatchObject({ code: 'SEGMENT_FOREIGN' })
  })
})
