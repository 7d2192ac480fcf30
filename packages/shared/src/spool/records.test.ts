import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import {
  createKeyRecord,
  type DataKey,
  generateKey,
  openKeyRecord,
  parseKeyMaterial,
} from '@securyflex/shared/keys'
import fc from 'fast-check'
import {
  type BatchRecord,
  readRecords,
  recordOverhead,
  RecordWriter,
  type SpoolCipher,
  spoolCipher,
} from './records.ts'

let directory: string
let key: DataKey
let [count, files] = [0, 0]

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 't-'))
  const material = parseKeyMaterial(new Secret(generateKey()))
  key = await openKeyRecord(await createKeyRecord(material, new Date()), [material])
})
afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

const newPath = () => join(directory, String((files += 1)))

async function written(records: readonly BatchRecord[], cipher: SpoolCipher): Promise<string> {
  const path = newPath()
  const writer = await RecordWriter.create(path, cipher)
  for (const record of records) await writer.write(record)
  await writer.finish()
  expect(writer.bytes).toBe((await readFile(path)).length)
  return path
}

async function read(path: string, cipher: SpoolCipher): Promise<BatchRecord[]> {
  const records: BatchRecord[] = []
  for await (const record of readRecords(path, cipher)) records.push(record)
  return records
}

function record(payload: Buffer, more: Partial<BatchRecord> = {}): BatchRecord {
  const id = createHash('sha256')
    .update(String((count += 1)))
    .digest()
  return { id, plainLength: 1000, payload: { compression: 0, bytes: payload }, destinations: [0], ...more }
}

const anyRecord = fc.record({
  id: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  plainLength: fc.integer({ min: 1, max: 8 * 1024 * 1024 }),
  payload: fc.record({
    compression: fc.constantFrom(0 as const, 1 as const, 2 as const),
    bytes: fc.uint8Array({ maxLength: 5000 }).map((bytes) => Buffer.from(bytes)),
  }),
  destinations: fc.uniqueArray(fc.integer({ min: 0, max: 31 })).map((list) => list.sort((a, b) => a - b)),
})

describe.each([
  ['hidden', () => spoolCipher(key)],
  ['as it is', () => spoolCipher(undefined)],
])('a batch file, its payloads %s', (how, cipherOf) => {
  it('gives back what was written, in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyRecord, { maxLength: 8 }), async (records) => {
        expect(await read(await written(records, cipherOf()), cipherOf())).toEqual(records)
      }),
      { numRuns: 60 },
    )
  })

  it('takes segments of 8 MiB', async () => {
    const records = [record(randomBytes(8 * 1024 * 1024 + 112)), record(randomBytes(1))]
    const path = await written(records, cipherOf())
    expect((await read(path, cipherOf())).map(({ payload }) => payload.bytes.length)).toEqual([
      8 * 1024 * 1024 + 112,
      1,
    ])
  })

  it('adds at most the declared overhead to each record, and an end mark', async () => {
    const bytes = await readFile(
      await written([record(randomBytes(500)), record(randomBytes(500))], cipherOf()),
    )
    expect(bytes.length).toBeLessThanOrEqual(1000 + 3 * recordOverhead)
  })

  it('is found damaged when it is cut off, at whatever length', async () => {
    const whole = await readFile(
      await written([record(randomBytes(100)), record(randomBytes(3))], cipherOf()),
    )
    const path = newPath()
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length))
      await expect(read(path, cipherOf())).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' })
    }
  })

  it('is found damaged when any one bit is flipped', async () => {
    const whole = await readFile(await written([record(randomBytes(60)), record(randomBytes(3))], cipherOf()))
    const path = newPath()
    // The last 8 bytes of the end mark's header say nothing.
    for (let bit = 0; bit < (whole.length - 8) * 8; bit++) {
      const flipped = Buffer.from(whole)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await writeFile(path, flipped)
      await expect(read(path, cipherOf())).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' })
    }
  })

  it('is found damaged when a power cut left it as zeros', async () => {
    const whole = await readFile(
      await written([record(randomBytes(500)), record(randomBytes(500))], cipherOf()),
    )
    const path = newPath()
    for (const kept of [0, 48, 300, 640]) {
      await writeFile(path, Buffer.concat([whole.subarray(0, kept), Buffer.alloc(whole.length - kept)]))
      await expect(read(path, cipherOf())).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' })
    }
  })

  it('is found damaged when a record is missing, and never asks for more memory than a segment', async () => {
    const records = [record(randomBytes(100)), record(randomBytes(100))]
    const whole = await readFile(await written(records, cipherOf()))
    const one = (whole.length - 48) / 2
    const path = newPath()
    await writeFile(path, Buffer.concat([whole.subarray(0, one), whole.subarray(2 * one)]))
    await expect(read(path, cipherOf())).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' })
    const huge = Buffer.from(whole)
    huge.writeUInt32BE(0xffffffff, 36)
    await writeFile(path, huge)
    await expect(read(path, cipherOf())).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' })
  })

  it(`${how === 'hidden' ? 'shows' : 'would show'} ${how === 'hidden' ? 'nothing' : 'all'} of a payload to who looks into it`, async () => {
    const text = 'a row of the customers table'
    const bytes = await readFile(await written([record(Buffer.from(text))], cipherOf()))
    expect(bytes.includes(text)).toBe(how !== 'hidden')
  })
})

describe('a batch file', () => {
  it('does not open under another key', async () => {
    const path = await written([record(randomBytes(100))], { key: randomBytes(32) })
    await expect(read(path, { key: randomBytes(32) })).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' })
    await expect(read(path, undefined)).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' })
  })

  it('is not written over another one', async () => {
    const path = await written([record(randomBytes(1))], undefined)
    await expect(RecordWriter.create(path, undefined)).rejects.toMatchObject({ code: 'EEXIST' })
  })
})
