import type { LogLevel } from './level.ts'

type Info = Readonly<Record<string, unknown>>

const leading = new Set(['logger', 'run', 'error'])

/** One line of JSON; `time`, `level` and `message` are the logger's own, whatever the fields are called. */
export function toJsonLine(info: Info): string {
  const { time, level, message } = info
  const own = { time, level, message }
  return JSON.stringify({ ...own, ...fieldsOf(info), ...own })
}

/**
 * A line for people: `2026-11-23T02:00:00.000Z info worker [run]: message name=value`.
 * An error's stack is shown at level `debug`, and where it is all there is: for errors without a code of ours.
 */
export function toTextLine(info: Info, shownLevel: LogLevel): string {
  const fields = fieldsOf(info)
  const run = fields['run'] === undefined ? '' : ` [${text(fields['run'])}]`
  const head = `${text(info['time'])} ${text(info['level']).padEnd(5)} ${text(fields['logger'])}${run}: `
  const rest = Object.entries(fields).filter(([name]) => !leading.has(name))
  const tail = rest.map(([name, value]) => ` ${name}=${quoted(value)}`).join('')
  return printable(`${head}${text(info['message'])}${tail}${errorText(fields['error'], shownLevel)}`)
}

function errorText(error: unknown, shownLevel: LogLevel): string {
  if (error === undefined) return ''
  if (!isRecord(error)) return ` ${text(error)}`
  const said = [error['message'], error['hint']].filter((part) => part !== undefined).map(text)
  const stack = shownLevel === 'debug' || error['name'] !== 'BackupError' ? error['stack'] : undefined
  return ` ${said.join(' ')}${stack === undefined ? '' : `\n${text(stack)}`}`
}

function quoted(value: unknown): string {
  const shown = text(value)
  return /[\s"=]/.test(shown) && typeof value === 'string' ? JSON.stringify(shown) : shown
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Continuation lines are indented, so that no text can pass for a line of its own; control characters are spelt out. */
function printable(line: string): string {
  return line
    .replaceAll(/\r?\n/g, '\n    ')
    .replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
      return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
    })
}

function fieldsOf(info: Info): Record<string, unknown> {
  return isRecord(info['fields']) ? info['fields'] : {}
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
