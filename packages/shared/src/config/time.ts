import { CronExpressionParser } from 'cron-parser'
import { nearest } from './nearest.ts'
import { Wrong } from './wrong.ts'

const fields = [
  ['minute', '0 to 59'],
  ['hour', '0 to 23'],
  ['day of the month', '1 to 31, or L for the last'],
  ['month', '1 to 12, or jan to dec'],
  ['day of the week', '0 to 7, or sun to sat'],
] as const

const names = ['@hourly', '@daily', '@weekly', '@monthly', '@yearly', '@annually']

/** A cron expression of five fields or a name such as `@daily`; cron-parser, which BullMQ uses too, has the last word. */
export function cron(text: string): string {
  if (text.startsWith('@')) return cronName(text)
  const parts = text.split(/\s+/)
  if (parts.length !== fields.length) {
    throw new Wrong(
      `“${text}” has ${parts.length} fields, and a schedule has five: ${fields.map(([field]) => field).join(', ')}`,
    )
  }
  for (const [index, [field, allowed]] of fields.entries()) {
    const part = parts[index] ?? ''
    const alone = fields.map((_, other) => (other === index ? part : '*')).join(' ')
    // cron-parser draws lots for H, anew each time that the expression is read.
    if (part.startsWith('H') || !happens(alone)) {
      throw new Wrong(`the ${field} “${part}” of “${text}” is not possible (${allowed})`)
    }
  }
  if (!happens(text)) throw new Wrong(`“${text}” never happens: no such month has that day`)
  return text
}

function cronName(text: string): string {
  if (names.includes(text)) return text
  throw new Wrong(`“${text}” is not a schedule’s name; the nearest is ${nearest(text, names)}`)
}

function happens(expression: string): boolean {
  try {
    CronExpressionParser.parse(expression, { currentDate: new Date(0), tz: 'UTC' }).next()
    return true
  } catch (error) {
    // cron-parser throws plain errors with texts for programmers; ours name the field.
    if (error instanceof Error) return false
    throw error
  }
}

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
