import { Secret } from '@securyflex/shared/errors'
import type { RedisAddress } from './config.ts'
import { Wrong } from './wrong.ts'

const encode =
  'a password with special characters must be percent-encoded, “@” as %40, “/” as %2F and “#” as %23'

/** `redis://host:6379/0`, the same with TLS as `rediss://`, or a Unix socket: `unix:///run/redis.sock`. */
export function redisAddress(text: string): RedisAddress {
  const url = parse(text)
  const socket = url.protocol === 'unix:'
  if (!socket && url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    throw new Wrong('it begins with none of redis://, rediss:// and unix://')
  }
  if (socket && (url.host !== '' || url.pathname.length < 2))
    throw new Wrong('it lacks the path of a socket after unix://')
  if (!socket && url.hostname === '') throw new Wrong('it names no host')
  if (!socket && !/^\/?\d*$/.test(url.pathname))
    throw new Wrong(`after the host only a database number may follow, and ${encode}`)
  if (!isDecodable(url.username) || !isDecodable(url.password))
    throw new Wrong(`it contains “%” as it is; ${encode}`)
  if (url.hash !== '') throw new Wrong(`it contains “#”; ${encode}`)
  const hidden = url.password === '' ? [] : [url.password, decodeURIComponent(url.password)]
  return { url: new Secret(text, hidden), shown: `${url.protocol}//${url.host}${url.pathname}` }
}

/** An `http://` or `https://` address; only its origin is shown, since many services keep a secret in the path. */
export function webhookAddress(text: string): { url: Secret; shown: string } {
  const url = parse(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new Wrong('it begins with neither https:// nor http://')
  const place = `${url.pathname}${url.search}`
  if (place === '/' && url.username === '') return { url: new Secret(text, []), shown: url.origin }
  return { url: new Secret(text, [text, place]), shown: `${url.origin}/…` }
}

function parse(text: string): URL {
  if (!URL.canParse(text)) throw new Wrong(`it is not an address; ${encode}`)
  return new URL(text)
}

function isDecodable(text: string): boolean {
  return !/%(?![0-9a-f]{2})/i.test(text)
}
