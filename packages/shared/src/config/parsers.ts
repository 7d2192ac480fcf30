import { isIPv4 } from 'node:net'
import { resolve } from 'node:path'
import { Secret } from '@securyflex/shared/errors'
import { z } from 'zod'
import { nearest } from './nearest.ts'
import { type Step, steps } from './steps.ts'
import { Wrong } from './wrong.ts'

const truths: Readonly<Record<string, boolean>> = {
  true: true,
  1: true,
  yes: true,
  false: false,
  0: false,
  no: false,
}

/** `true`, `1`, `yes` or `false`, `0`, `no`, in any case. */
export function boolean(text: string): boolean {
  const value = truths[text.toLowerCase()]
  if (value === undefined) throw new Wrong(`“${text}” is neither true nor false`)
  return value
}

/** A whole number, both ends included. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  const schema = z
    .stringFormat('whole', /^\d{1,15}$/)
    .transform(Number)
    .pipe(z.number().min(least).max(most))
  return (text) => {
    const value = schema.safeParse(text)
    if (!value.success) throw new Wrong(`“${text}” is not a whole number from ${least} to ${most}`)
    return value.data
  }
}

/** One of a few words, in any case. */
export function oneOf<const Word extends string>(...words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((known) => known === text.toLowerCase())
    if (word !== undefined) return word
    throw new Wrong(`“${text}” is none of ${words.join(', ')}; the nearest is ${nearest(text, words)}`)
  }
}

/** A name that can stand in file names and job ids: letters, digits, `-` and `_`. */
export function name(text: string): string {
  // JavaScript keeps one such word for itself: a map drops it without a word.
  if (/^[A-Za-z0-9_-]{1,64}$/.test(text) && text !== '__proto__') return text
  throw new Wrong(`“${text}” is not a name of 1 to 64 letters, digits, “-” and “_”`)
}

/** An absolute path; a relative one starts at the working directory. */
export function path(text: string, directory: string): string {
  if (text.includes('\0')) throw new Wrong('the path contains a zero byte')
  return resolve(directory, text)
}

const units: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/** Bytes: `1073741824`, `512MB`, `1.5 GiB`. */
export function size(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text)
  const unit = match?.[2] === '' ? 1 : units[match?.[2]?.toLowerCase() ?? '']
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? NaN))
  if (Number.isSafeInteger(bytes)) return bytes
  throw new Wrong(
    `“${text}” is not a size in bytes, or with one of the units KB, MB, GB, TB, KiB, MiB, GiB, TiB`,
  )
}

/** A name or an address to listen at. */
export function host(text: string): string {
  if (/^[A-Za-z0-9.:_-]+$/.test(text)) return text
  throw new Wrong(`“${text}” is not a host name or address`)
}

/** Whether only this machine can reach it. */
export function isLoopback(listening: string): boolean {
  return (
    listening === 'localhost' || listening === '::1' || (isIPv4(listening) && listening.startsWith('127.'))
  )
}

/** Steps of a backup, separated by commas or spaces; each counts once, in the order of the way. */
export function stepList(text: string): readonly Step[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== '')
  const wanted = new Set(words.map(oneOf(...steps)))
  if (wanted.size === 0) throw new Wrong('it names no step')
  return steps.filter((step) => wanted.has(step))
}

/** What a program shows to be let in: as hard to guess as a key, and fit for a header. */
export function token(text: string): Secret {
  if (!/^[\x21-\x7e]+$/.test(text)) throw new Wrong('a token is letters, digits and signs, without spaces')
  if (text.length < leastToken) {
    throw new Wrong(`it has ${text.length} characters, and a token needs at least ${leastToken}`)
  }
  return new Secret(text)
}

const leastToken = 24

/** Any text. */
export function text(value: string): string {
  return value
}

/** Where a store listens, with the protocol; no user, no question mark. */
export function endpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Wrong(`“${redactedAddress(text)}” is not an address that begins with https:// or http://`)
  }
  if (url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new Wrong('an endpoint is an address alone: no user, and nothing after a question mark')
  }
  return text
}

/** Whoever pastes an address with a password in it is not to find it in an error. */
function redactedAddress(text: string): string {
  return text.replace(/\/\/[^@/]*@/, '//…@').replace(/\?.*$/s, '?…')
}

/** What comes before the names of all objects: empty, or ending with `/`. */
export function prefix(text: string): string {
  const parts = text.split('/').filter((part) => part !== '')
  if (parts.some((part) => part === '.' || part === '..' || part.includes('\0'))) {
    throw new Wrong(`“${text}” has a part that is “.” or “..”`)
  }
  return parts.length === 0 ? '' : `${parts.join('/')}/`
}

/** A bucket or container, as all three providers name them. */
export function bucket(text: string): string {
  if (/^[a-zA-Z0-9$][a-zA-Z0-9._-]{1,221}[a-zA-Z0-9]$/.test(text)) return text
  throw new Wrong(`“${text}” is not the name of a bucket: letters, digits, “-”, “_” and “.”`)
}

/** Bytes a second: `10MB`, `500 KiB/s`. */
export function bandwidth(text: string): number {
  const bytes = size(text.replace(/\/s$/, ''))
  if (bytes >= leastBandwidth) return bytes
  throw new Wrong('less than 256KiB a second cannot keep up with a run')
}

/** A batch of 32 MiB then takes two minutes; a destination that stores none for fifteen is dropped. */
const leastBandwidth = 256 * 2 ** 10
