import { createHash, randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from '@jest/globals'
import type { Cipher, Compression } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import {
  createKeyRecord,
  type DataKey,
  generateKey,
  openKeyRecord,
  parseKeyMaterial,
} from '@securyflex/shared/keys'
import fc from 'fast-check'
import { identityOf } from './identity.ts'
import {
  compress,
  Cutter,
  decodeEntry,
  encodeEntry,
  longestSegment,
  Sealer,
  SegmentIndex,
  shortestSegment,
} from './index.ts'

let key: DataKey
let otherKey: DataKey

async function newKey(): Promise<DataKey> {
  const material = parseKeyMaterial(new Secret(generateKey()))
  return openKeyRecord(await createKeyRecord(material, new Date()), [material])
}

beforeAll(async () => {
  key = await newKey()
  otherKey = await newKey()
})

function cut(gearTable: Uint32Array, bytes: Buffer, chunk: number): Buffer[] {
  const cutter = new Cutter(gearTable)
  const segments: Buffer[] = []
  for (let at = 0; at < bytes.length; at += chunk)
    for (const segment of cutter.push(bytes.subarray(at, at + chunk))) segments.push(Buffer.from(segment))
  const last = cutter.end()
  return last === undefined ? segments : [...segments, last]
}

describe('cutting', () => {
  const bytes = randomBytes(48 * 1024 * 1024)

  it('depends on the content only, not on how it arrives in chunks', () => {
    const { gearTable } = identityOf(key)
    const whole = cut(gearTable, bytes, bytes.length).map((segment) => segment.length)
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 10_000_000 }), (chunk) => {
        expect(cut(gearTable, bytes, chunk).map((segment) => segment.length)).toEqual(whole)
      }),
      { numRuns: 8 },
    )
  })

  it('keeps every byte, in order, within the bounds', () => {
    const segments = cut(identityOf(undefined).gearTable, bytes, 65_536)
    expect(Buffer.concat(segments).equals(bytes)).toBe(true)
    for (const segment of segments.slice(0, -1)) {
      expect(segment.length).toBeGreaterThanOrEqual(shortestSegment)
      expect(segment.length).toBeLessThanOrEqual(longestSegment)
    }
  })

  it('finds the same segments again behind an insertion', () => {
    const { gearTable, identify } = identityOf(key)
    const names = (input: Buffer) =>
      cut(gearTable, input, 65_536).map((segment) => identify(segment).toString('hex'))
    const before = names(bytes)
    const after = new Set(
      names(Buffer.concat([bytes.subarray(0, 1000), Buffer.from('inserted'), bytes.subarray(1000)])),
    )
    const lost = before.filter((name) => !after.has(name))
    expect(before.length).toBeGreaterThan(6)
    expect(lost.length).toBeLessThanOrEqual(2)
  })

  it('cuts content that never changes at the longest length', () => {
    const lengths = cut(identityOf(key).gearTable, Buffer.alloc(20 * 1024 * 1024), 1_000_000).map(
      (s) => s.length,
    )
    expect(lengths).toEqual([longestSegment, longestSegment, 4 * 1024 * 1024])
  })

  it('yields nothing for an empty stream', () => {
    expect(cut(identityOf(key).gearTable, Buffer.alloc(0), 10)).toEqual([])
  })

  it('cuts at other places under another key', () => {
    const lengths = (k: DataKey) => cut(identityOf(k).gearTable, bytes, 65_536).map((s) => s.length)
    expect(lengths(key)).not.toEqual(lengths(otherKey))
  })
})

const ciphers: Cipher[] = ['none', 'aes-256-gcm', 'aes-256-cbc']
const compressions: Compression[] = [
  { algorithm: 'none', level: 0 },
  { algorithm: 'gzip', level: 6 },
  { algorithm: 'zstd', level: 3 },
]
const variants = ciphers.flatMap((cipher) => compressions.map((compression) => ({ cipher, compression })))

async function seal(sealer: Sealer, plain: Buffer, cipher: Cipher, compression: Compression) {
  const id = sealer.identity.identify(plain)
  return { id, sealed: sealer.seal(id, await compress(plain, compression), plain.length, cipher) }
}

describe.each(variants)('sealing with $cipher and $compression.algorithm', ({ cipher, compression }) => {
  const sealer = () => new Sealer(cipher === 'none' ? undefined : key)

  it('opens to the same bytes, whatever they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 5000 }), async (bytes) => {
        const plain = Buffer.from(bytes)
        const { id, sealed } = await seal(sealer(), plain, cipher, compression)
        expect((await sealer().open(id, sealed)).equals(plain)).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  it('refuses every single flipped bit and every truncation', async () => {
    const { id, sealed } = await seal(sealer(), Buffer.from('customers: '.repeat(20)), cipher, compression)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const altered = Buffer.from(sealed)
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7))
      await expect(sealer().open(id, altered)).rejects.toThrow(/Segment/)
    }
    for (let length = 0; length < sealed.length; length++) {
      await expect(sealer().open(id, sealed.subarray(0, length))).rejects.toThrow(/Segment/)
    }
  })

  it('refuses a segment under the name of another', async () => {
    const first = await seal(sealer(), Buffer.from('first'), cipher, compression)
    const second = await seal(sealer(), Buffer.from('other'), cipher, compression)
    await expect(sealer().open(first.id, second.sealed)).rejects.toMatchObject({ code: 'SEGMENT_TAMPERED' })
  })
})

describe('sealing', () => {
  it('names a segment of another key as foreign, and a missing key as missing', async () => {
    const plain = Buffer.from('payroll')
    const { id, sealed } = await seal(new Sealer(key), plain, 'aes-256-gcm', { algorithm: 'none', level: 0 })
    await expect(new Sealer(otherKey).open(id, sealed)).rejects.toMatchObject({ code: 'SEGMENT_FOREIGN' })
    await expect(new Sealer(undefined).open(id, sealed)).rejects.toMatchObject({ code: 'KEY_MISSING' })
  })

  it('gives equal segments different bytes each time, so that stores learn nothing from them', async () => {
    const plain = Buffer.from('payroll')
    const [first, second] = [
      await seal(new Sealer(key), plain, 'aes-256-gcm', { algorithm: 'none', level: 0 }),
      await seal(new Sealer(key), plain, 'aes-256-gcm', { algorithm: 'none', level: 0 }),
    ]
    expect(first.id.equals(second.id)).toBe(true)
    expect(first.sealed.equals(second.sealed)).toBe(false)
    expect(first.id.equals(createHash('sha256').update(plain).digest())).toBe(false)
  })

  it('never seals without encryption what was to be encrypted', () => {
    const payload = { compression: 0, bytes: Buffer.from('x') } as const
    expect(() => new Sealer(undefined).seal(Buffer.alloc(32), payload, 1, 'aes-256-gcm')).toThrow(TypeError)
    expect(() => new Sealer(key).seal(Buffer.alloc(32), payload, 1, 'none')).toThrow(TypeError)
  })

  it('stops decompressing beyond the declared length', async () => {
    const bomb = await compress(Buffer.alloc(4_000_000), { algorithm: 'zstd', level: 3 })
    const sealer = new Sealer(key)
    const id = sealer.identity.identify(Buffer.alloc(1000))
    const sealed = sealer.seal(id, bomb, 1000, 'aes-256-gcm')
    await expect(sealer.open(id, sealed)).rejects.toMatchObject({ code: 'SEGMENT_TAMPERED' })
  })
})

describe('segment lists', () => {
  const entry = (seed: number) => ({
    id: createHash('sha256').update(String(seed)).digest(),
    plainLength: seed + 1,
    sealedLength: seed + 100,
    sealedHash: createHash('sha256')
      .update(`sealed ${String(seed)}`)
      .digest(),
  })

  it('decode to what was encoded', () => {
    const bytes = Buffer.concat([encodeEntry(entry(1)), encodeEntry(entry(2))])
    expect(decodeEntry(bytes, 72)).toEqual(entry(2))
  })

  it('are found by id among tens of thousands, each once', () => {
    const index = new SegmentIndex()
    for (let seed = 0; seed < 20_000; seed++) expect(index.add(entry(seed))).toBe(true)
    expect(index.add(entry(7))).toBe(false)
    expect(index.size).toBe(20_000)
    expect(index.get(entry(19_999).id)).toEqual(entry(19_999))
    expect(index.has(entry(20_000).id)).toBe(false)
    expect([...index].length).toBe(20_000)
  })
})
