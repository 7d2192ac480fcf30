import { readFileSync, statSync } from 'node:fs'
import { systemCode } from '@securyflex/shared/errors'

/** Who asks: what the first four fields of a line must match. */
export interface Login {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** The lines of a password file that may be used, and what is said of a file that may not. */
export interface PasswordFile {
  readonly lines: readonly string[]
  readonly notices: readonly string[]
}

/**
 * Reads a password file under libpq's rules: a missing one is no error, and one that others can read
 * is ignored (https://www.postgresql.org/docs/current/libpq-pgpass.html).
 */
export function readPasswordFile(path: string): PasswordFile {
  const unusable = (why: string) => ({
    lines: [],
    notices: [`The password file ${path} is ignored: ${why}.`],
  })
  try {
    const facts = statSync(path)
    if (!facts.isFile()) return unusable('it is not a plain file')
    if (process.platform !== 'win32' && (facts.mode & 0o077) !== 0) {
      return unusable(`others may read it; type chmod 600 ${path}`)
    }
    return { lines: readFileSync(path, 'utf8').split('\n'), notices: [] }
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return { lines: [], notices: [] }
    return unusable(`it cannot be read (${systemCode(error) ?? String(error)})`)
  }
}

/** The password of the first line whose `host:port:database:user` matches; `*` matches all. */
export function passwordFor(login: Login, lines: readonly string[]): string | undefined {
  const wanted = [login.host, String(login.port), login.database, login.user]
  for (const line of lines) {
    if (line.startsWith('#')) continue
    let rest: string | undefined = line.replace(/\r+$/, '')
    for (const value of wanted) rest = rest === undefined ? undefined : afterField(rest, value)
    if (rest === undefined) continue
    return passwordIn(rest)
  }
  return undefined
}

/** A line's password for one database, or for every one that no line before it names. */
export interface DatabaseLine {
  /** Undefined for `*`. */
  readonly database: string | undefined
  readonly password: string | undefined
}

/** What the lines for one server and user say of its databases, in their order: the first that fits counts. */
export function databaseLines(login: Omit<Login, 'database'>, lines: readonly string[]): DatabaseLine[] {
  return lines.flatMap((line) => {
    if (line.startsWith('#')) return []
    const port = afterField(line.replace(/\r+$/, ''), login.host)
    const place = port === undefined ? undefined : afterField(port, String(login.port))
    const [, database, rest] = /^((?:[^:\\]|\\.)*):(.*)$/s.exec(place ?? '') ?? []
    const behind = rest === undefined ? undefined : afterField(rest, login.user)
    if (database === undefined || behind === undefined) return []
    return [{ database: database === '*' ? undefined : unescaped(database), password: passwordIn(behind) }]
  })
}

function passwordIn(rest: string): string | undefined {
  const password = unescaped(/^(?:[^:\\]|\\.?)*/.exec(rest)?.[0] ?? '')
  return password === '' ? undefined : password
}

const unescaped = (field: string) => field.replaceAll(/\\(.)/g, '$1')

/**
 * What follows the first field of `line` if that is `value`. Like libpq it goes by the value, so that an
 * IPv6 address matches with and without backslashes before its colons.
 */
function afterField(line: string, value: string): string | undefined {
  if (line.startsWith('*:')) return line.slice(2)
  let place = 0
  for (const character of value) {
    if (line[place] === '\\') place += 1
    if (!line.startsWith(character, place)) return undefined
    place += character.length
  }
  return line[place] === ':' ? line.slice(place + 1) : undefined
}
