import { createHash, randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from '@jest/globals'
import type { DataKey } from '@securyflex/shared/keys'
import { createKeyRecord, openKeyRecord } from '@securyflex/shared/keys'
import fc from 'fast-check'
import { decodeDocument, encodeDocument } from './index.ts'

let key: DataKey
let otherKey: DataKey
const name = 'shop/backups/shop.20261123T020000Z.3fa2.json'
const content = { format: 1, note: 'Zoë’s “shop”\n', list: [1, 2, 3] }

async function newKey(): Promise<DataKey> {
  const material = { kind: 'raw', bytes: randomBytes(32) } as const
  return openKeyRecord(await createKeyRecord(material, new Date()), [material])
}

beforeAll(async () => {
  ;[key, otherKey] = await Promise.all([newKey(), newKey()])
})

const open = (bytes: Buffer, under: DataKey | undefined, as = name) => {
  const document = decodeDocument(as, bytes)
  document.check(under)
  return document.content
}
const damaged = expect.objectContaining({ code: 'MANIFEST_DAMAGED', message: expect.stringContaining(name) })
const caught = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe.each([
  ['with a key', () => key],
  ['without encryption', () => undefined],
])('a document %s', (_, keyOf) => {
  it('is two lines and gives back any content', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (any) => {
        const bytes = encodeDocument(name, any, keyOf())
        expect(bytes.toString().split('\n')).toHaveLength(3)
        expect(open(bytes, keyOf())).toEqual(JSON.parse(JSON.stringify(any)))
      }),
    )
  })

  it('says whether a key vouches for it', () => {
    expect(decodeDocument(name, encodeDocument(name, content, keyOf())).authenticated).toBe(
      keyOf() !== undefined,
    )
  })

  it('is found damaged when it is cut off, at whatever length', () => {
    const bytes = encodeDocument(name, content, keyOf())
    for (let length = 0; length < bytes.length; length++) {
      expect(caught(() => open(bytes.subarray(0, length), keyOf()))).toEqual(damaged)
    }
  })

  it('is found damaged when any one bit is flipped', () => {
    const bytes = encodeDocument(name, content, keyOf())
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(caught(() => open(flipped, keyOf()))).toEqual(damaged)
    }
  })

  it('is found damaged under another name', () => {
    const moved = encodeDocument('shop/backups/shop.20261122T020000Z.0000.json', content, keyOf())
    expect(caught(() => open(moved, keyOf()))).toEqual(damaged)
  })
})

describe('a document', () => {
  it('written with a key does not pass another one, nor none', () => {
    const bytes = encodeDocument(name, content, key)
    expect(caught(() => open(bytes, otherKey))).toEqual(damaged)
    expect(caught(() => open(bytes, undefined))).toEqual(damaged)
  })

  it('with a checksum passes under a key, and is not called authenticated', () => {
    const document = decodeDocument(name, encodeDocument(name, content, undefined))
    document.check(key)
    expect(document.authenticated).toBe(false)
  })

  it('cannot claim a key’s code with a checksum of the same bytes', () => {
    const line = JSON.stringify(content)
    const value = createHash('sha256').update(`${name}\0${line}`).digest('hex')
    const forged = Buffer.from(`${line}\n${JSON.stringify({ mac: { algorithm: 'hmac-sha256', value } })}\n`)
    expect(caught(() => open(forged, key))).toEqual(damaged)
  })
})
