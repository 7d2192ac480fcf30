import { inspect } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import { createKeyRecord, generateKey, keyRecordSchema, openKeyRecord, parseKeyMaterial } from './index.ts'

const now = new Date('2026-11-23T02:00:00Z')
const rawKey = parseKeyMaterial(new Secret(generateKey()))
const passphrase = parseKeyMaterial(new Secret('correct horse battery staple'))

describe('key material', () => {
  it('reads 64 hex digits and base64 of the same bytes as the same raw key', () => {
    const hex = generateKey()
    const base64 = Buffer.from(hex, 'hex').toString('base64')
    expect(parseKeyMaterial(new Secret(base64))).toEqual(parseKeyMaterial(new Secret(hex)))
  })

  it('takes everything else for a passphrase in one Unicode form', () => {
    const composed = parseKeyMaterial(new Secret('caf\u00e9 au lait, deux sucres'))
    const decomposed = parseKeyMaterial(new Secret('cafe\u0301 au lait, deux sucres'))
    expect(composed).toEqual(decomposed)
  })

  it.each([
    ['too short', 'hunter2'],
    ['repeats the same few characters', 'abababababababababab'],
    ['repeats the same few bytes', '00'.repeat(32)],
  ])('refuses a key that is %s', (_, text) => {
    expect(() => parseKeyMaterial(new Secret(text))).toThrow(expect.objectContaining({ code: 'KEY_WEAK' }))
  })
})

describe('key records', () => {
  it.each([
    ['raw key', rawKey],
    ['passphrase', passphrase],
  ])('open again with the %s that made them', async (_, material) => {
    const record = keyRecordSchema.parse(JSON.parse(JSON.stringify(await createKeyRecord(material, now))))
    const first = await openKeyRecord(record, [material])
    const again = await openKeyRecord(record, [parseKeyMaterial(new Secret(generateKey())), material])
    expect(first.subkey('id')).toEqual(again.subkey('id'))
    expect(first.subkey('id')).not.toEqual(first.subkey('manifest'))
    expect(first.subkey('cut')).toHaveLength(1024)
  })

  it('name a wrong key as such', async () => {
    const record = await createKeyRecord(rawKey, now)
    const other = parseKeyMaterial(new Secret(generateKey()))
    await expect(openKeyRecord(record, [other, passphrase])).rejects.toMatchObject({ code: 'KEY_WRONG' })
  })

  it('name an altered record as such, with the right key', async () => {
    const record = await createKeyRecord(rawKey, now)
    const altered = {
      ...record,
      wrapped: record.wrapped.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
    }
    await expect(openKeyRecord(altered, [rawKey])).rejects.toMatchObject({ code: 'MANIFEST_DAMAGED' })
    const moved = { ...record, id: '0'.repeat(32) }
    await expect(openKeyRecord(moved, [rawKey])).rejects.toMatchObject({ code: 'MANIFEST_DAMAGED' })
  })

  it('refuse a cost that would exhaust the reader', async () => {
    const record = await createKeyRecord(passphrase, now)
    expect(() => keyRecordSchema.parse({ ...record, kdf: { ...record.kdf, N: 2 ** 30 } })).toThrow()
  })

  it('show no key bytes when they are printed', async () => {
    const key = await openKeyRecord(await createKeyRecord(rawKey, now), [rawKey])
    expect(inspect(key, { showHidden: true, depth: 5 }) + JSON.stringify(key)).not.toContain(
      key.subkey('id').toString('hex'),
    )
  })
})
