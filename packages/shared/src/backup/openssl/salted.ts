import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { BackupError, type Secret } from '@securyflex/shared/errors'
import { type Derivation, deriveKey, type OpensslKey } from './derivation.ts'

/** The first bytes of every file of `openssl enc`; 8 bytes of salt follow. */
export const saltedMagic = Buffer.from('Salted__', 'latin1')
/** Bytes before the ciphertext. */
const headerLength = 16
const blockLength = 16

/** Iterations of PBKDF2 in what is written: OWASP's figure of 2023 for HMAC-SHA256. */
const writtenDerivation: Derivation = { iterations: 600_000, digest: 'sha256' }

/** The line that reads what {@link encryptSalted} wrote; `variable` holds the passphrase. */
export function opensslLine(file: string, plain: string, variable: string): string {
  return `openssl enc -d -aes-256-cbc -pbkdf2 -iter 600000 -md sha256 -pass env:${variable} -in ${file} -out ${plain}`
}

/** `plain` as `openssl enc -aes-256-cbc -pbkdf2 -iter 600000 -md sha256` would write it. */
export async function* encryptSalted(
  plain: AsyncIterable<Uint8Array>,
  passphrase: Secret,
): AsyncGenerator<Buffer> {
  const salt = randomBytes(8)
  const { key, iv } = await deriveKey(passphrase, salt, writtenDerivation)
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  yield Buffer.concat([saltedMagic, salt])
  for await (const chunk of plain) {
    const sealed = cipher.update(chunk)
    if (sealed.length > 0) yield sealed
  }
  yield cipher.final()
}

/**
 * What a `Salted__` file holds.
 * @throws STREAM_DAMAGED if its end is not that of an encrypted file: cut off, altered, or another key's
 */
export async function* decryptSalted(
  sealed: AsyncIterable<Uint8Array>,
  { key, iv }: OpensslKey,
): AsyncGenerator<Buffer> {
  const decipher = createDecipheriv('aes-256-cbc', key, iv)
  let skip = headerLength
  for await (const chunk of sealed) {
    const skipped = Math.min(skip, chunk.length)
    skip -= skipped
    const plain = decipher.update(chunk.subarray(skipped))
    if (plain.length > 0) yield plain
  }
  try {
    yield decipher.final()
  } catch (cause) {
    throw new BackupError('STREAM_DAMAGED', 'The encrypted file is cut off or was altered.', {
      hint: 'Compare its size with the original, and fetch it again.',
      cause,
    })
  }
}

/** The salt of a file that begins with `head`; undefined if it is too short to have one. */
export function saltOf(head: Uint8Array): Buffer | undefined {
  return head.length < headerLength + blockLength
    ? undefined
    : Buffer.from(head.subarray(saltedMagic.length, headerLength))
}

/**
 * What the first bytes of a file are with a key that may be wrong, without the last block, whose padding means
 * nothing then. `whole`: they are all that there is.
 */
export function decryptHead(head: Uint8Array, { key, iv }: OpensslKey, whole: boolean): Buffer {
  const decipher = createDecipheriv('aes-256-cbc', key, iv).setAutoPadding(false)
  const usable = head.length - (head.length % blockLength)
  const plain = decipher.update(head.subarray(headerLength, usable))
  if (!whole) return plain
  if (plain.length > blockLength) return plain.subarray(0, -blockLength)
  return plain.subarray(0, Math.max(0, blockLength - (plain.at(-1) ?? 0)))
}
