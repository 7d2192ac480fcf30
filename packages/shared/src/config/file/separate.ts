import { parse } from 'dotenv'
import { BackupError } from '@securyflex/shared/errors'

/** A connection string whose secrets are variables, and what these are. */
export interface Separated {
  /** For the configuration file: `postgresql://ann:${SOURCE_SHOP_PASSWORD}@…`. */
  readonly text: string
  /** Values by variable, as they stood in the string. */
  readonly secrets: Readonly<Record<string, string>>
}

/** Parameters of a connection string that are secret. */
const secretParameters = ['password', 'sslpassword'] as const

/**
 * Takes the secrets out of a connection string (a URI, or `host=… password=…`).
 * @param nameOf the variable for one of them
 */
export function separateSecrets(text: string, nameOf: (what: string) => string): Separated {
  const secrets: Record<string, string> = {}
  const put = (what: string, value: string) => {
    const name = nameOf(what)
    secrets[name] = value
    return `\${${name}}`
  }
  const escaped = (part: string) => part.replaceAll('${', () => '$${')
  if (!/^postgres(?:ql)?:\/\//.test(text)) return { text: inPairs(text, put, escaped), secrets }
  const [, before = '', password, rest = ''] = /^([^/]*\/\/[^@/:]*:)([^@/]+)(@.*)$/s.exec(text) ?? [
    text,
    '',
    undefined,
    text,
  ]
  const head = password === undefined ? '' : escaped(before) + put('password', password)
  const [, place = '', query = ''] = /^([^?]*)(.*)$/s.exec(rest) ?? []
  const parameters = query.replaceAll(
    /([?&])([^=&]*)=([^&]*)/g,
    (pair, mark: string, name: string, value: string) =>
      isSecret(name) && value !== '' ? `${mark}${escaped(name)}=${put(name, value)}` : escaped(pair),
  )
  return { text: head + escaped(place) + parameters, secrets }
}

const isSecret = (name: string) => (secretParameters as readonly string[]).includes(name)

/** `password='two words'`: the quotes stay with the value. */
function inPairs(
  text: string,
  put: (what: string, value: string) => string,
  escaped: (part: string) => string,
): string {
  const pair = /([^\s=]+)(\s*=\s*)('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)/gs
  return text.replaceAll(pair, (all, name: string, between: string, value: string) =>
    isSecret(name) && value !== '' ? `${name}${between}${put(name, value)}` : escaped(all),
  )
}

/**
 * `.env` with more variables at its end, each in the quotation marks in which it reads back as it is.
 * @throws CONFIG_INVALID for a value that no quotation marks can hold
 */
export function withVariables(text: string, variables: Readonly<Record<string, string>>): string {
  const lines = Object.entries(variables).map(([name, value]) => `${lineOf(name, value)}\n`)
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${lines.join('')}`
}

function lineOf(name: string, value: string): string {
  const candidates = ['', "'", '"', '`'].map((mark) => `${name}=${mark}${value}${mark}`)
  const line = candidates.find((one) => parse(one)[name] === value)
  if (line !== undefined) return line
  throw new BackupError('CONFIG_INVALID', `The value of ${name} cannot stand in .env.`, {
    hint: `Write it into a file of its own, and its path into .env: ${name}_FILE=…`,
  })
}
