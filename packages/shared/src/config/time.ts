import { nearest } from './nearest.ts'
import { Wrong } from './wrong.ts'

/** A time zone by its IANA name, e.g. `Europe/Amsterdam`. */
export function timeZone(text: string): string {
  try {
    // Fixed offsets such as +01:00 are zones to Intl but not to all who read this.
    if (/^[A-Za-z]/.test(text))
      return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone && text
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  const known = ['UTC', ...Intl.supportedValuesOf('timeZone')]
  throw new Wrong(`“${text}” is not a known time zone; the nearest is ${nearest(text, known)}`)
}
