import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { BackupError } from '@securyflex/shared/errors'
import type { DataKey } from '@securyflex/shared/keys'
import { type CompressionCode, discard, longestSegment, type Payload } from '@securyflex/shared/segments'
import { SpoolFile } from './file.ts'
import { ifThere } from './notes.ts'
import { inSpool } from './trouble.ts'

/** One segment on its way: plain, compressed or sealed, according to the file it is in. */
export interface BatchRecord {
  /** 32 bytes. */
  readonly id: Buffer
  readonly plainLength: number
  readonly payload: Payload
  /** Indexes into the attempt's destinations: who lacks this segment. */
  readonly destinations: readonly number[]
}

/**
 * A batch file is records and an end mark, so that a file cut short is noticed without fsync:
 * id (32) ‖ plain length (4) ‖ payload length (4) ‖ destinations, a bit each (4) ‖ compression (1) ‖ zero (3) ‖ payload.
 * The end mark is a header of plain length 0 with the number of records as payload length and ones for an id:
 * a file that a power cut left as zeros has none.
 * With encryption on, a payload is nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM under the `spool` key,
 * the header authenticated with it. Otherwise it is followed by the CRC-32 of header and payload (4), so that
 * a damaged batch ends as one that is dumped again, not as a stored segment that does not open.
 */
const recordHeaderLength = 48
const nonceBytes = 12
const tagBytes = 16
const checksumBytes = 4
/** Sealing and hiding add less than this to the longest segment; a longer payload is no payload. */
const longestPayload = longestSegment + 4096
const endMark = Buffer.alloc(32, 0xff)
/** Bytes that a record adds to its payload at most. */
export const recordOverhead = recordHeaderLength + nonceBytes + tagBytes

/** Hides payloads while they wait on disk. Undefined leaves them as they are. */
export type SpoolCipher = { readonly key: Buffer } | undefined

/** The cipher for batches that hold readable data, under `key`; none without encryption. */
export function spoolCipher(key: DataKey | undefined): SpoolCipher {
  return key === undefined ? undefined : { key: key.subkey('spool') }
}

/** Writes a batch file record by record; `finish` makes it whole. */
export class RecordWriter {
  readonly #file: SpoolFile
  readonly #cipher: SpoolCipher
  #count = 0
  #bytes = 0
  /** The record that is on its way to the disk while the next one is made. */
  #writing: Promise<void> = Promise.resolve()

  private constructor(file: SpoolFile, cipher: SpoolCipher) {
    this.#file = file
    this.#cipher = cipher
  }

  /** Creates `path`, which must not exist. */
  static async create(path: string, cipher: SpoolCipher): Promise<RecordWriter> {
    return new RecordWriter(await inSpool(() => SpoolFile.create(path)), cipher)
  }

  /** Bytes written so far, those on their way included. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Takes `record`, whose payload is the caller's again afterwards. What is hidden first may still be on its way to
   * the disk then; if it does not get there, the next call says so.
   */
  async write(record: BatchRecord): Promise<void> {
    const header = Buffer.alloc(recordHeaderLength)
    record.id.copy(header, 0)
    header.writeUInt32BE(record.plainLength, 32)
    const extra = this.#cipher === undefined ? checksumBytes : nonceBytes + tagBytes
    header.writeUInt32BE(record.payload.bytes.length + extra, 36)
    header.writeUInt32BE(record.destinations.reduce((mask, index) => mask | (1 << index), 0) >>> 0, 40)
    header.writeUInt8(record.payload.compression, 44)
    const hidden = this.#hide(header, record.payload.bytes)
    await this.#writing
    this.#count += 1
    const parts = [header, ...hidden]
    this.#bytes += parts.reduce((sum, part) => sum + part.length, 0)
    this.#writing = this.#append(parts).then(() => {
      for (const part of hidden) if (part !== record.payload.bytes) discard(part)
    })
    if (this.#cipher === undefined) return this.#writing
    // Whoever comes next hears of it.
    this.#writing.catch(() => undefined)
  }

  async finish(): Promise<void> {
    await this.#writing
    const mark = Buffer.alloc(recordHeaderLength)
    endMark.copy(mark, 0)
    mark.writeUInt32BE(this.#count, 36)
    this.#bytes += mark.length
    await this.#append([mark])
    await this.close()
  }

  /** Does nothing if the file is closed already. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#writing])
    await this.#file.close()
  }

  async #append(parts: readonly Buffer[]): Promise<void> {
    await inSpool(() => this.#file.append(parts))
  }

  #hide(header: Buffer, plain: Buffer): Buffer[] {
    if (this.#cipher === undefined) return [plain, checksum(header, plain)]
    const nonce = randomBytes(nonceBytes)
    const gcm = createCipheriv('aes-256-gcm', this.#cipher.key, nonce).setAAD(header)
    return [nonce, gcm.update(plain), gcm.final(), gcm.getAuthTag()]
  }
}

function checksum(header: Buffer, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(checksumBytes)
  bytes.writeUInt32BE(crc32(payload, crc32(header)))
  return bytes
}

/**
 * The records of a batch file, one at a time. Their payloads are the caller's to discard.
 * @throws SPOOL_DAMAGED if the file is not there, cut short or altered
 */
export async function* readRecords(path: string, cipher: SpoolCipher): AsyncGenerator<BatchRecord> {
  const file = await ifThere(() => SpoolFile.open(path))
  if (file === undefined) throw damaged(path)
  // Hidden payloads are read into one place, one after the other; others are handed on as they are read.
  let place: Buffer = Buffer.alloc(0)
  try {
    let header = await readExactly(file, Buffer.alloc(recordHeaderLength), path)
    for (let count = 0; ; count++) {
      const plainLength = header.readUInt32BE(32)
      const length = header.readUInt32BE(36)
      if (plainLength === 0) {
        if (length !== count || !header.subarray(0, 32).equals(endMark)) throw damaged(path)
        return
      }
      if (length > longestPayload) throw damaged(path)
      // The next header comes with it: each read is a trip to another thread.
      const both = length + recordHeaderLength
      if (cipher === undefined) place = Buffer.allocUnsafeSlow(both)
      else if (both > place.length) place = enlarged(place, both)
      const read = await readExactly(file, place.subarray(0, both), path)
      const hidden = read.subarray(0, length)
      const next = Buffer.from(read.subarray(length))
      yield {
        id: header.subarray(0, 32),
        plainLength,
        payload: {
          compression: header.readUInt8(44) as CompressionCode,
          bytes: show(header, hidden, cipher, path),
        },
        destinations: bits(header.readUInt32BE(40)),
      }
      header = next
    }
  } finally {
    if (cipher !== undefined) discard(place)
    await file.close()
  }
}

/** Room for `length` bytes instead of `place`; what is in that is no longer needed. */
function enlarged(place: Buffer, length: number): Buffer {
  discard(place)
  return Buffer.allocUnsafeSlow(length)
}

function bits(mask: number): number[] {
  return Array.from({ length: 32 }, (_, index) => index).filter((index) => (mask >>> index) & 1)
}

function show(header: Buffer, hidden: Buffer, cipher: SpoolCipher, path: string): Buffer {
  if (cipher === undefined) {
    const payload = hidden.subarray(0, -checksumBytes)
    if (!checksum(header, payload).equals(hidden.subarray(payload.length))) throw damaged(path)
    return payload
  }
  try {
    const gcm = createDecipheriv('aes-256-gcm', cipher.key, hidden.subarray(0, nonceBytes))
      .setAAD(header)
      .setAuthTag(hidden.subarray(-tagBytes))
    const plain = gcm.update(hidden.subarray(nonceBytes, -tagBytes))
    gcm.final()
    return plain
  } catch (cause) {
    throw damaged(path, cause)
  }
}

async function readExactly(file: SpoolFile, bytes: Buffer, path: string): Promise<Buffer> {
  if ((await file.fill(bytes)) < bytes.length) throw damaged(path)
  return bytes
}

/** The error for a file of the spool that is not what was written. */
export function damaged(path: string, cause?: unknown): BackupError {
  return new BackupError('SPOOL_DAMAGED', `The file ${path} of the spool is damaged.`, {
    hint: 'The backup is made again from a new dump; check the disk if this recurs.',
    cause,
  })
}
