import { CronExpressionParser } from 'cron-parser'
import { nearest } from './nearest.ts'
import { Wrong } from './wrong.ts'

/** Of each field: cron-parser's word, ours, what may stand in it, and how many values it has. */
const fields = [
  ['minute', 'minute', '0 to 59', 60],
  ['hour', 'hour', '0 to 23', 24],
  ['dayOfMonth', 'day of the month', '1 to 31, or L for the last', 31],
  ['month', 'month', '1 to 12, or jan to dec', 12],
  ['dayOfWeek', 'day of the week', '0 to 7, or sun to sat', 7],
] as const
type Field = (typeof fields)[number]

const names = ['@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually']

/**
 * A cron expression of five fields or a name such as `@daily`; cron-parser, which BullMQ uses too, has the last word.
 * What crontab(5) allows and cron-parser does not is put into its words: `@midnight`, and a value named twice.
 */
export function cron(text: string): string {
  if (text.startsWith('@')) return cronName(text)
  const given = text.split(/\s+/)
  if (given.length !== fields.length) {
    throw new Wrong(
      `“${text}” has ${given.length} ${given.length === 1 ? 'field' : 'fields'}, and a schedule has five: ${fields.map(([, field]) => field).join(', ')}`,
    )
  }
  const read = fields.map((field, index) => readField(field, given[index] ?? '', text))
  const expression = read.every((part, index) => part === given[index]) ? text : read.join(' ')
  if (happens(expression)) return expression
  throw new Wrong(`“${text}” never happens: no such month has that day`)
}

function cronName(text: string): string {
  if (text === '@midnight') return '@daily'
  if (names.includes(text)) return text
  throw new Wrong(`“${text}” is not a schedule’s name; the nearest is ${nearest(text, names)}`)
}

function readField(field: Field, part: string, text: string): string {
  const [key, name, allowed, many] = field
  const farthest = Math.max(...part.split(',').map((one) => Number(one.split('/')[1] ?? 1)))
  if (farthest > many) {
    const what = `the ${name} “${part}” of “${text}” is not possible: a step of ${farthest} is more than the ${many} that there are`
    throw new Wrong(what)
  }
  // Months and days have names of three letters; what else is there are signs.
  const signs = key === 'month' || key === 'dayOfWeek' ? part.replaceAll(/[a-z]{3}/gi, '') : part
  // cron-parser draws lots for H, anew each time that the expression is read.
  if (!signs.includes('H')) {
    if (happens(alone(field, part))) return part
    const listed = /[#L]/i.test(signs) ? undefined : withoutTwins(field, part)
    if (listed !== undefined) return listed
  }
  throw new Wrong(`the ${name} “${part}” of “${text}” is not possible (${allowed})`)
}

/** The values of a list, each once; undefined if one of them is not possible. */
function withoutTwins(field: Field, list: string): string | undefined {
  const parts = list.split(',').map((part) => alone(field, part))
  if (!parts.every(happens)) return undefined
  const values = parts.map((part) => CronExpressionParser.parse(part).fields[field[0]].values)
  // Sunday is 0 and 7.
  const numbers = values.flatMap((one) =>
    one.map((value) => Number(value) % (field[0] === 'dayOfWeek' ? 7 : 60)),
  )
  return [...new Set(numbers)].sort((a, b) => a - b).join(',')
}

/** The expression in which everything but this field is left open. */
function alone(field: Field, part: string): string {
  return fields.map((other) => (other === field ? part : '*')).join(' ')
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
