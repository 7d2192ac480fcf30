import { randomBytes } from 'node:crypto'
import { BackupError, type Secret } from '@securyflex/shared/errors'

/** What a user keeps: 32 raw bytes, or a passphrase. docs/format.md, "Keys". */
export type KeyMaterial =
  { readonly kind: 'raw'; readonly bytes: Buffer } | { readonly kind: 'passphrase'; readonly text: string }

const hexKey = /^[0-9a-f]{64}$/i
const base64Key = /^[A-Za-z0-9+/]{43}=$/

/** The shortest passphrase that is accepted, in characters. */
const shortestPassphrase = 16
/** A passphrase of fewer different characters than this is a pattern, not a secret. */
const fewestDifferentCharacters = 6

/**
 * Reads a configured key: 64 hex digits, base64 of 32 bytes, else a passphrase.
 * @throws KEY_WEAK for a key that guessing would find
 */
export function parseKeyMaterial(key: Secret): KeyMaterial {
  const text = key.reveal()
  if (hexKey.test(text)) return raw(Buffer.from(text, 'hex'))
  if (base64Key.test(text)) return raw(Buffer.from(text, 'base64'))
  const weakness = passphraseWeakness(text)
  if (weakness !== undefined) throw weak(weakness)
  return { kind: 'passphrase', text: text.normalize('NFC') }
}

function raw(bytes: Buffer): KeyMaterial {
  if (new Set(bytes).size < fewestDifferentCharacters) throw weak('it repeats the same few bytes')
  return { kind: 'raw', bytes }
}

function passphraseWeakness(text: string): string | undefined {
  const characters = Array.from(text)
  if (characters.length < shortestPassphrase) {
    return `it has ${String(characters.length)} characters, and a passphrase needs at least ${String(shortestPassphrase)}`
  }
  if (new Set(characters).size < fewestDifferentCharacters) return 'it repeats the same few characters'
  return undefined
}

function weak(why: string): BackupError {
  return new BackupError('KEY_WEAK', `The encryption key is too weak: ${why}.`, {
    hint: 'Make one with: npx --no securyflex-backup key generate',
  })
}

/** A new raw key in the form that users keep: 64 hex digits. */
export function generateKey(): string {
  return randomBytes(32).toString('hex')
}
