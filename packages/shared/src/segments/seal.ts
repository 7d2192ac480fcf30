import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import type { Cipher } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import type { DataKey } from '@securyflex/shared/keys'
import { decompress, type Payload } from './compress.ts'
import { discard } from './discard.ts'
import {
  type CipherCode,
  cipherCodes,
  decodeHeader,
  encodeHeader,
  type Header,
  headerLength,
  tampered,
} from './header.ts'
import { type Identity, identityOf } from './identity.ts'

const tagBytes = 16
const macBytes = 32
const none = Buffer.alloc(0)

/** Seals and opens segments under one key, or with checksums only. docs/format.md, "Segments". */
export class Sealer {
  readonly identity: Identity
  readonly #keyId: Buffer
  readonly #parent: Buffer | undefined
  readonly #salt: () => Buffer

  /** @param salt draws the 32 bytes that no two objects of one key may share */
  constructor(key: DataKey | undefined, salt: () => Buffer = () => randomBytes(32)) {
    this.#salt = salt
    this.identity = identityOf(key)
    this.#keyId = key === undefined ? Buffer.alloc(16) : Buffer.from(key.id, 'hex')
    this.#parent = key?.subkey('segment')
  }

  /** The stored object for a segment. `plainLength` is what `payload` decompresses to. */
  seal(id: Buffer, payload: Payload, plainLength: number, cipher: Cipher): Buffer {
    if ((cipher === 'none') !== (this.#parent === undefined)) {
      throw new TypeError(`a sealer ${this.#parent ? 'with' : 'without'} a key cannot seal with ${cipher}`)
    }
    const encrypted = cipher !== 'none'
    const header = encodeHeader({
      compression: payload.compression,
      cipher: cipherCodes[cipher],
      plainLength,
      keyId: this.#keyId,
      salt: encrypted ? this.#salt() : Buffer.alloc(32),
    })
    const parts = this.#encrypt(header, id, payload.bytes)
    const sealed = Buffer.concat([header, ...parts])
    for (const part of parts) if (part !== payload.bytes) discard(part)
    return sealed
  }

  /**
   * The plain bytes of a stored object, every check of the format passed.
   * @throws SEGMENT_TRUNCATED, SEGMENT_TAMPERED, SEGMENT_FOREIGN, KEY_MISSING or FORMAT_UNKNOWN, naming the segment
   */
  async open(id: Buffer, sealed: Buffer): Promise<Buffer> {
    const name = id.toString('hex')
    const header = this.readHeader(id, sealed)
    const bytes = this.#decrypt(header, sealed, id, name)
    const plain = await decompress({ compression: header.compression, bytes }, header.plainLength).catch(
      (cause: unknown) => {
        throw tampered(name, 'it does not decompress to its declared length', cause)
      },
    )
    // What was stored as it is shares memory with one of the two.
    if (bytes.buffer !== sealed.buffer && bytes.buffer !== plain.buffer) discard(bytes)
    if (plain.length !== header.plainLength) throw tampered(name, 'its length is not the declared one')
    if (!timingSafeEqual(this.identity.identify(plain), id)) {
      throw new BackupError('SEGMENT_TAMPERED', `Segment ${name} holds the bytes of another segment.`)
    }
    return plain
  }

  /** The header of a stored object if this sealer could open it; the body is not looked at. */
  readHeader(id: Buffer, sealed: Buffer): Header {
    const name = id.toString('hex')
    const header = decodeHeader(sealed, name)
    if (header.cipher !== cipherCodes.none && this.#parent === undefined) {
      throw new BackupError('KEY_MISSING', `Segment ${name} is encrypted, and no key is configured.`, {
        hint: 'Set BACKUP_ENCRYPTION_KEY to the key that the backup was made with.',
      })
    }
    if (!header.keyId.equals(this.#keyId)) {
      throw new BackupError(
        'SEGMENT_FOREIGN',
        `Segment ${name} was sealed under another key than its backup.`,
      )
    }
    return header
  }

  #encrypt(header: Buffer, id: Buffer, bytes: Buffer): Buffer[] {
    const { cipher, salt } = decodeHeader(header, id.toString('hex'))
    if (cipher === cipherCodes.none) return [bytes, checksum(header, id, bytes)]
    const key = this.#segmentKey(cipher, salt)
    if (cipher === cipherCodes['aes-256-gcm']) {
      const gcm = createCipheriv('aes-256-gcm', key.encryption, key.nonce).setAAD(Buffer.concat([header, id]))
      return [gcm.update(bytes), gcm.final(), gcm.getAuthTag()]
    }
    const cbc = createCipheriv('aes-256-cbc', key.encryption, key.nonce)
    const ciphertext = joined(cbc.update(bytes), cbc.final())
    return [ciphertext, mac(key.mac, header, id, ciphertext)]
  }

  #decrypt({ cipher, salt }: Header, sealed: Buffer, id: Buffer, name: string): Buffer {
    const header = sealed.subarray(0, headerLength)
    const trailer = cipher === cipherCodes['aes-256-gcm'] ? tagBytes : macBytes
    if (sealed.length <= headerLength + trailer) {
      throw new BackupError('SEGMENT_TRUNCATED', `Segment ${name} is cut off after its header.`)
    }
    const body = sealed.subarray(headerLength, -trailer)
    const tag = sealed.subarray(-trailer)
    if (cipher === cipherCodes.none) {
      if (!timingSafeEqual(checksum(header, id, body), tag))
        throw tampered(name, 'its checksum does not match')
      return body
    }
    const key = this.#segmentKey(cipher, salt)
    if (cipher === cipherCodes['aes-256-gcm']) {
      const gcm = createDecipheriv('aes-256-gcm', key.encryption, key.nonce)
        .setAAD(Buffer.concat([header, id]))
        .setAuthTag(tag)
      return finish(gcm, body, name)
    }
    if (!timingSafeEqual(mac(key.mac, header, id, body), tag)) {
      throw tampered(name, 'its authentication code does not match')
    }
    return finish(createDecipheriv('aes-256-cbc', key.encryption, key.nonce), body, name)
  }

  /** A key for this one object, from its random salt, so a nonce can never meet its key twice. */
  #segmentKey(cipher: CipherCode, salt: Buffer): { encryption: Buffer; mac: Buffer; nonce: Buffer } {
    const gcm = cipher === cipherCodes['aes-256-gcm']
    const length = gcm ? 44 : 80
    const bytes = Buffer.from(
      hkdfSync('sha256', this.#parent ?? none, salt, 'securyflex/1/segment-key', length),
    )
    return gcm
      ? { encryption: bytes.subarray(0, 32), mac: none, nonce: bytes.subarray(32) }
      : { encryption: bytes.subarray(0, 32), mac: bytes.subarray(32, 64), nonce: bytes.subarray(64) }
  }
}

function finish(
  decipher: { update(b: Buffer): Buffer; final(): Buffer },
  body: Buffer,
  name: string,
): Buffer {
  try {
    return joined(decipher.update(body), decipher.final())
  } catch (cause) {
    throw tampered(name, 'its authentication code does not match', cause)
  }
}

/** Both in one, without a copy where the second is empty, as with GCM. */
function joined(first: Buffer, second: Buffer): Buffer {
  if (second.length === 0) return first
  const whole = Buffer.concat([first, second])
  discard(first)
  return whole
}

function checksum(header: Buffer, id: Buffer, bytes: Buffer): Buffer {
  return createHash('sha256').update(header).update(id).update(bytes).digest()
}

function mac(key: Buffer, header: Buffer, id: Buffer, bytes: Buffer): Buffer {
  return createHmac('sha256', key).update(header).update(id).update(bytes).digest()
}
