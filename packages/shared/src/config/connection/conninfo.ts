import { refusal, type Settings } from './refusal.ts'

const setting =
  /\s*([^\s=]+)\s*=\s*(?:'((?:[^'\\]|\\[\s\S])*)'|((?:[^\s'\\]|\\[\s\S])(?:[^\s\\]|\\[\s\S])*)?(?=\s|$))/y

/**
 * The settings of a string such as `host=db dbname=shop password='it''s'`
 * (https://www.postgresql.org/docs/current/libpq-connect.html, "Keyword/Value Connection Strings"):
 * quotes around values with spaces, a backslash before a quote or a backslash. The last of two wins.
 */
export function readConninfo(text: string): Settings {
  const settings: Settings = new Map()
  let place = 0
  while (text.slice(place).trim() !== '') {
    setting.lastIndex = place
    const match = setting.exec(text)
    if (match === null) throw malformed(settings)
    settings.set(match[1] ?? '', (match[2] ?? match[3] ?? '').replaceAll(/\\([\s\S])/g, '$1'))
    place = setting.lastIndex
  }
  return settings
}

function malformed(before: Settings) {
  const last = [...before.keys()].at(-1)
  const where = last === undefined ? 'at its beginning' : `after “${last}”`
  return refusal(
    `The connection string is not a list of name=value pairs ${where}.`,
    `Put a value with spaces in single quotes, with a backslash before each quote and backslash in it: password='two words'.`,
  )
}
