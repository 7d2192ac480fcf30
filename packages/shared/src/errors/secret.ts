import { inspect } from 'node:util'

/** Longest first, so that a secret within another does not leave the rest of it readable. */
let known: readonly string[] = []
const mask = '[secret]'

/** Shorter values are not searched for in text: replacing every `a` would hide nothing and garble all. */
const shortestSearched = 4

/**
 * Shorter ones are hidden as whole words only: with the password `test`, `latest` would read `la[secret]` in
 * every line that the reader is to type.
 */
const shortestInsideWords = 8

/**
 * A value that must not be shown: it prints, serialises and inspects as `[secret]`.
 * Creating one also teaches {@link redact} to remove the value, as it is and percent-encoded,
 * from any text of this process.
 */
export class Secret {
  readonly #value: string

  /** @param hidden the parts of the value that are secret in themselves; an address has a password, say */
  constructor(value: string, hidden: readonly string[] = [value]) {
    this.#value = value
    for (const part of hidden) {
      if (part.length < shortestSearched) continue
      learn(part)
      learn(encodeURIComponent(part))
    }
  }

  /** The value itself, for the one place that needs it (a connection, a child's environment). */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return mask
  }

  toJSON(): string {
    return mask
  }

  [inspect.custom](): string {
    return mask
  }
}

function learn(value: string): void {
  if (known.includes(value)) return
  known = [...known, value].sort((a, b) => b.length - a.length)
}

const credentialsInUrl = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s@/]+@/gi
const passwordInConninfo = /\b(password|sslpassword)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&'"]+)/gi

/** `text` without the values of known secrets, passwords in URLs and `password=` parameters. */
export function redact(text: string): string {
  let clean = text
  for (const value of known) {
    if (clean.includes(value)) clean = clean.replaceAll(searched(value), mask)
  }
  return clean.replace(credentialsInUrl, `$1:${mask}@`).replace(passwordInConninfo, `$1=${mask}`)
}

function searched(value: string): string | RegExp {
  if (value.length >= shortestInsideWords) return value
  const literally = value.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
  return new RegExp(`(?<![A-Za-z0-9])${literally}(?![A-Za-z0-9])`, 'g')
}
