import { Secret } from '@securyflex/shared/errors'
import { Wrong } from './wrong.ts'

const remedy = 'Make one with: npx --no securyflex-backup key generate'
const shortestPassphrase = 16
const fewestDifferent = 6

/** A key that guessing does not find: 64 hex digits, base64 of 32 bytes, or a passphrase of 16 characters or more. */
export function key(text: string): Secret {
  const secret = new Secret(text)
  const why = weakness(text)
  if (why !== undefined) throw new Wrong(`the key is too weak: ${why}`, remedy, 'KEY_WEAK')
  return secret
}

/** Keys in a list: one on each line in a file or where there are lines, else separated by commas. */
export function keys(text: string, _directory: string, fromFile: boolean): Secret[] {
  const parts = text.split(fromFile || text.includes('\n') ? '\n' : ',')
  const given = parts.map((part) => part.trim()).filter((part) => part !== '')
  try {
    return given.map(key)
  } catch (error) {
    if (!(error instanceof Wrong) || given.length < 2) throw error
    const rule =
      'Keep passphrases that contain commas in a file, one on each line, and name it in BACKUP_ENCRYPTION_KEY_PREVIOUS_FILE.'
    throw new Wrong(`of ${given.length} keys one is not usable: ${error.message}`, rule, error.code)
  }
}

function weakness(text: string): string | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return repetitive([...Buffer.from(text, 'hex')])
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return repetitive([...Buffer.from(text, 'base64')])
  const characters = Array.from(text)
  // A passphrase is never this: somebody has lost a part of a generated key.
  if (/^[0-9a-f]{40,}$/i.test(text)) return `it has ${characters.length} hex digits instead of 64`
  if (characters.length < shortestPassphrase) {
    return `it has ${characters.length} characters, and a passphrase needs at least ${shortestPassphrase}`
  }
  return repetitive(characters.map((character) => character.codePointAt(0) ?? 0))
}

function repetitive(units: readonly number[]): string | undefined {
  if (new Set(units).size < fewestDifferent) return 'it consists of the same few characters'
  const half = Math.floor(units.length / 2)
  for (let period = 1; period <= half; period++) {
    if (units.every((unit, index) => index < period || unit === units[index - period]))
      return 'it repeats itself'
  }
  const steps = units.slice(1).map((unit, index) => unit - (units[index] ?? 0))
  const along = steps.filter((step) => Math.abs(step) === 1).length
  return along > steps.length * 0.8 ? 'it only counts up or down' : undefined
}
