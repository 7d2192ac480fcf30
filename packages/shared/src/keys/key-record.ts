import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scrypt,
  timingSafeEqual,
} from 'node:crypto'
import { promisify } from 'node:util'
import { BackupError } from '@securyflex/shared/errors'
import { DataKey } from './data-key.ts'
import type { KeyMaterial } from './material.ts'
import type { KeyRecord } from './record-schema.ts'

const deriveWithScrypt = promisify<string, Buffer, number, object, Buffer>(scrypt)

/** 64 MiB and about 0.3 s once per process: OWASP's second choice (2^17 would double a worker's peak memory). */
const scryptCost = { N: 2 ** 16, r: 8, p: 2 }
const nonceBytes = 12
const tagBytes = 16

/** Draws a data key and wraps it. `now` dates the record. */
export async function createKeyRecord(material: KeyMaterial, now: Date): Promise<KeyRecord> {
  const salt = randomBytes(16).toString('hex')
  const kdf: KeyRecord['kdf'] =
    material.kind === 'raw' ? { name: 'raw', salt } : { name: 'scrypt', ...scryptCost, salt }
  const id = randomBytes(16).toString('hex')
  const kek = await keyEncryptionKey(material, kdf)
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', kek, nonce).setAAD(wrapContext(id))
  const wrapped = Buffer.concat([nonce, cipher.update(randomBytes(32)), cipher.final(), cipher.getAuthTag()])
  return {
    format: 1,
    kind: 'wrapped',
    id,
    created: now.toISOString(),
    kdf,
    check: checkValue(kek).toString('hex'),
    wrapped: wrapped.toString('hex'),
  }
}

/**
 * The data key of `record`, opened with the first of `materials` that fits.
 * @throws KEY_WRONG if none fits, MANIFEST_DAMAGED if one fits and the record was altered
 */
export async function openKeyRecord(record: KeyRecord, materials: readonly KeyMaterial[]): Promise<DataKey> {
  for (const material of materials) {
    if ((material.kind === 'raw') !== (record.kdf.name === 'raw')) continue
    const kek = await keyEncryptionKey(material, record.kdf)
    if (timingSafeEqual(checkValue(kek), Buffer.from(record.check, 'hex'))) return unwrap(record, kek)
  }
  throw new BackupError('KEY_WRONG', `None of the configured keys opens the key record ${record.id}.`, {
    hint: 'Set BACKUP_ENCRYPTION_KEY, or add the old key to BACKUP_ENCRYPTION_KEY_PREVIOUS, then try: npx --no securyflex-backup key check',
  })
}

function unwrap(record: KeyRecord, kek: Buffer): DataKey {
  const bytes = Buffer.from(record.wrapped, 'hex')
  const decipher = createDecipheriv('aes-256-gcm', kek, bytes.subarray(0, nonceBytes))
    .setAAD(wrapContext(record.id))
    .setAuthTag(bytes.subarray(-tagBytes))
  try {
    const key = Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()])
    return new DataKey(record, key)
  } catch (cause) {
    throw new BackupError('MANIFEST_DAMAGED', `The key record ${record.id} was altered.`, {
      hint: `Each manifest of the repository holds a copy of it; compare them with keys/${record.id}.json.`,
      cause,
    })
  }
}

async function keyEncryptionKey(material: KeyMaterial, kdf: KeyRecord['kdf']): Promise<Buffer> {
  const salt = Buffer.from(kdf.salt, 'hex')
  if (material.kind === 'raw') {
    return Buffer.from(hkdfSync('sha256', material.bytes, salt, 'securyflex/1/kek', 32))
  }
  if (kdf.name === 'raw') throw new TypeError('a passphrase cannot open a record made with a raw key')
  const { N, r, p } = kdf
  return deriveWithScrypt(material.text, salt, 32, { N, r, p, maxmem: 256 * N * r })
}

function checkValue(kek: Buffer): Buffer {
  return createHmac('sha256', kek).update('securyflex/1/check').digest().subarray(0, 8)
}

function wrapContext(id: string): Buffer {
  return Buffer.from(`securyflex/1/key-record:${id}`)
}
