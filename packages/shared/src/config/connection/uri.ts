import { refusal, type Settings } from './refusal.ts'

/** Where each part of a URI begins and ends in the eyes of libpq, not yet percent-decoded. */
interface Parts {
  readonly user: string | undefined
  readonly password: string | undefined
  readonly hosts: readonly string[]
  readonly ports: readonly string[]
  readonly database: string
  readonly query: string
}

/** What is shown to whoever wrote neither of the two forms; without a password, which no message may contain. */
export const example = 'postgresql://backup@db.example.com:5432/shop'

/**
 * The settings of a `postgresql://` URI, cut as libpq cuts it
 * (https://www.postgresql.org/docs/current/libpq-connect.html, "Connection URIs"), which differs from
 * RFC 3986: the user's part ends at the first `@` before any `/`, and `#` means nothing.
 */
export function readUri(uri: string): { settings: Settings; notices: string[] } {
  const rest = uri.slice(uri.indexOf('://') + 3)
  const parts = cut(rest)
  refuseUnescaped(rest, parts)
  const settings: Settings = new Map()
  const set = (name: string, value: string) => {
    if (value !== '') settings.set(name, decode(value))
  }
  set('user', parts.user ?? '')
  set('password', parts.password ?? '')
  set('host', parts.hosts.join(','))
  set('port', parts.ports.every((port) => port === '') ? '' : parts.ports.join(','))
  set('dbname', parts.database)
  for (const [name, value] of readQuery(parts.query)) settings.set(name, value)
  return { settings, notices: noticeOtherReaders(parts.password) }
}

function cut(rest: string): Parts {
  const credentials = /^([^@/]*)@/.exec(rest)?.[1]
  const colon = credentials?.indexOf(':') ?? -1
  let place = credentials === undefined ? 0 : credentials.length + 1
  const take = (pattern: RegExp) => {
    pattern.lastIndex = place
    const text = pattern.exec(rest)?.[0] ?? ''
    place += text.length
    return text
  }
  const hosts: string[] = []
  const ports: string[] = []
  do {
    if (hosts.length > 0) place += 1
    hosts.push(rest[place] === '[' ? bracketed(take(/\[[^\]]*\]?/y), rest[place]) : take(/[^:/?,]*/y))
    ports.push(rest[place] === ':' ? take(/:[^/?,]*/y).slice(1) : '')
  } while (rest[place] === ',')
  const database = rest[place] === '/' ? take(/\/[^?]*/y).slice(1) : ''
  return {
    user: colon < 0 ? credentials : credentials?.slice(0, colon),
    password: colon < 0 ? undefined : credentials?.slice(colon + 1),
    hosts,
    ports,
    database,
    query: rest.slice(place + 1),
  }
}

function bracketed(text: string, next: string | undefined): string {
  if (!text.endsWith(']') || text === '[]' || (next !== undefined && !':/?,'.includes(next))) {
    throw refusal(
      'The connection string has a “[” without an IPv6 address and its “]” after it.',
      'Write it like postgresql://backup:secret@[2001:db8::1]:5432/shop.',
    )
  }
  return text.slice(1, -1)
}

/** The most common mistake of all: a password with `@` or `/` in it moves every boundary after it. */
function refuseUnescaped(rest: string, parts: Parts): void {
  const withAt = [...parts.hosts, ...parts.ports, parts.database].some((part) => part.includes('@'))
  // With a `/` before the `@` no credentials are seen, and the password stands where the port should.
  const withSlash =
    rest.includes('@') && parts.user === undefined && parts.ports.some((port) => /\D/.test(port))
  if (!withAt && !withSlash) return
  const credentials = rest.slice(0, rest.lastIndexOf('@')).replace(/^[^:]*:/, '')
  const found = [...new Set(credentials)].filter((one) => '/@?#%'.includes(one))
  const named = found.length === 0 ? ['@'] : found
  const marks = named.map((one) => `“${one}” as ${encodeURIComponent(one)}`).join(', ')
  throw refusal(
    'The user name or password in the connection string contains characters that have a meaning of their own there.',
    `Percent-encode them: write ${marks}.`,
  )
}

function noticeOtherReaders(password: string | undefined): string[] {
  const unescaped = ['#', '?'].filter((one) => password?.includes(one))
  return unescaped.map(
    (one) =>
      `The password in the connection string contains “${one}” as it is, which many programs read ` +
      `differently; better write it as ${encodeURIComponent(one)}.`,
  )
}

function readQuery(query: string): Settings {
  const settings: Settings = new Map()
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', value, ...more] = pair.split('=')
    if (value === undefined || more.length > 0) {
      throw refusal(
        'The parameters after “?” in the connection string are not all of the form name=value.',
        'Separate them with “&”, and write “=” within a value as %3D.',
      )
    }
    settings.set(decode(name), decode(value))
  }
  // libpq's one concession to JDBC.
  if (settings.get('ssl') === 'true') {
    settings.delete('ssl')
    settings.set('sslmode', 'require')
  }
  return settings
}

function decode(text: string): string {
  if (/%(?![0-9a-f]{2})/i.test(text) || /%00/.test(text)) {
    throw refusal(
      'The connection string contains a “%” that does not begin a percent-encoded character.',
      'Write “%” itself as %25.',
    )
  }
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (!(error instanceof URIError)) throw error
    throw refusal(
      'The connection string contains percent-encoded bytes that are not UTF-8.',
      'Encode the characters of the password as UTF-8, for example “ü” as %C3%BC.',
    )
  }
}
