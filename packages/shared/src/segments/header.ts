import type { Cipher } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { type CompressionCode, compressionCodes } from './compress.ts'
import { longestSegment } from './cut.ts'

/** The header's codes; docs/format.md, "Segments". */
export const cipherCodes = { none: 0, 'aes-256-gcm': 1, 'aes-256-cbc': 2 } as const
export type CipherCode = (typeof cipherCodes)[Cipher]

/** What the first 64 bytes of a sealed segment say. */
export interface Header {
  readonly compression: CompressionCode
  readonly cipher: CipherCode
  readonly plainLength: number
  /** 16 bytes; zeros without encryption. */
  readonly keyId: Buffer
  /** 32 bytes; zeros without encryption. */
  readonly salt: Buffer
}

export const headerLength = 64
const magic = Buffer.from('SFLXSEG')
const version = 1

export function encodeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(headerLength)
  magic.copy(bytes, 0)
  bytes.writeUInt8(version, 7)
  bytes.writeUInt8(header.compression, 8)
  bytes.writeUInt8(header.cipher, 9)
  bytes.writeUInt32BE(header.plainLength, 12)
  header.keyId.copy(bytes, 16)
  header.salt.copy(bytes, 32)
  return bytes
}

/**
 * Reads and checks a header; `name` appears in errors.
 * @throws SEGMENT_TRUNCATED, SEGMENT_TAMPERED, or FORMAT_UNKNOWN for a newer version
 */
export function decodeHeader(bytes: Buffer, name: string): Header {
  if (bytes.length < headerLength) {
    throw new BackupError(
      'SEGMENT_TRUNCATED',
      `Segment ${name} is cut off: ${String(bytes.length)} bytes are left of it.`,
    )
  }
  if (!bytes.subarray(0, 7).equals(magic)) throw tampered(name, 'it does not begin like a segment')
  if (bytes.readUInt8(7) !== version) {
    throw new BackupError(
      'FORMAT_UNKNOWN',
      `Segment ${name} has version ${String(bytes.readUInt8(7))}, and this program reads version ${String(version)}.`,
      { hint: 'Read it with a newer version of SecuryFlex Backup.' },
    )
  }
  const compression = known(Object.values(compressionCodes), bytes.readUInt8(8))
  const cipher = known(Object.values(cipherCodes), bytes.readUInt8(9))
  const plainLength = bytes.readUInt32BE(12)
  if (
    compression === undefined ||
    cipher === undefined ||
    bytes.readUInt16BE(10) !== 0 ||
    plainLength < 1 ||
    plainLength > longestSegment
  ) {
    throw tampered(name, 'its header is not valid')
  }
  return { compression, cipher, plainLength, keyId: bytes.subarray(16, 32), salt: bytes.subarray(32, 64) }
}

function known<T extends number>(codes: readonly T[], code: number): T | undefined {
  return codes.find((candidate) => candidate === code)
}

/** The error for a segment that is not what it was. */
export function tampered(name: string, why: string, cause?: unknown): BackupError {
  return new BackupError('SEGMENT_TAMPERED', `Segment ${name} was altered: ${why}.`, { cause })
}
