import { createHash, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'
import type { Secret } from '@securyflex/shared/errors'

const derive = promisify(pbkdf2)

/** How `openssl enc` makes key and IV from a passphrase and a salt (its manual page, "OPTIONS"). */
export interface Derivation {
  /** With `-pbkdf2` the iterations of PBKDF2; undefined is what it does without that option. */
  readonly iterations: number | undefined
  /** `-md`; by OpenSSL's name. */
  readonly digest: string
}

/** What is tried in turn where nobody says: `export`, -pbkdf2, without it since OpenSSL 1.1.0, and before. */
export const usualDerivations: readonly Derivation[] = [
  { iterations: 600_000, digest: 'sha256' },
  { iterations: 10_000, digest: 'sha256' },
  { iterations: undefined, digest: 'sha256' },
  { iterations: undefined, digest: 'md5' },
]

const keyLength = 32
const ivLength = 16

/** Key and IV of AES-256-CBC. */
export interface OpensslKey {
  readonly key: Buffer
  readonly iv: Buffer
}

/** @param salt the 8 bytes behind `Salted__` */
export async function deriveKey(
  passphrase: Secret,
  salt: Uint8Array,
  { iterations, digest }: Derivation,
): Promise<OpensslKey> {
  const word = Buffer.from(passphrase.reveal())
  const bytes =
    iterations === undefined
      ? bytesToKey(word, salt, digest)
      : await derive(word, salt, iterations, keyLength + ivLength, digest)
  return { key: bytes.subarray(0, keyLength), iv: bytes.subarray(keyLength, keyLength + ivLength) }
}

/** OpenSSL's EVP_BytesToKey with one iteration: D(n) = H(D(n-1) ‖ passphrase ‖ salt). */
function bytesToKey(passphrase: Buffer, salt: Uint8Array, digest: string): Buffer {
  let [all, last] = [Buffer.alloc(0), Buffer.alloc(0)]
  while (all.length < keyLength + ivLength) {
    last = createHash(digest).update(last).update(passphrase).update(salt).digest()
    all = Buffer.concat([all, last])
  }
  return all
}
