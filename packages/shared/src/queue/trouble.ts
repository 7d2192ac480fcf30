import type { RedisAddress } from '@securyflex/shared/config'
import { BackupError, type ErrorClass, systemCode } from '@securyflex/shared/errors'
import { prefix } from './names.ts'

/** What is said of a trouble: a clause after “Redis at …”, and what to type. */
interface Told {
  readonly what: string
  readonly hint: string
  /** `transient` may pass without anybody doing something here. */
  readonly class: ErrorClass
}

/** The page that has the rule for the user of Redis, and the settings that it needs. */
const page = 'docs/redis.md'

/**
 * `error` in this project's words if it is something that Redis said, or TLS or the network on the way there;
 * undefined for every other error, and for one that is in our words already.
 */
export function redisTrouble(error: unknown, address?: RedisAddress): BackupError | undefined {
  if (error instanceof BackupError || !isSaid(error)) return undefined
  const told = refusalIn(error.message, address) ?? tlsTrouble(error, address) ?? networkTrouble(error)
  if (told === undefined) return undefined
  const where = address === undefined ? 'Redis' : `Redis at ${address.shown}`
  return new BackupError('REDIS_UNREACHABLE', `${where} ${told.what}.`, {
    hint: told.hint,
    class: told.class,
    cause: error,
  })
}

/** Whatever carries a message. */
interface Said {
  readonly message: string
}

function isSaid(error: unknown): error is Said {
  return (
    typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string'
  )
}

/** What an answer of Redis means that begins with a word such as `NOAUTH`; in a script it may come later. */
function refusalIn(said: string, address?: RedisAddress): Told | undefined {
  for (const [pattern, tell] of refusals) {
    const match = pattern.exec(said)
    if (match !== null) return tell(match, address)
  }
  return undefined
}

type Tell = (match: RegExpExecArray, address: RedisAddress | undefined) => Told

const refusals: readonly (readonly [RegExp, Tell])[] = [
  [
    /^NOAUTH /,
    () => ({
      what: 'refuses to talk without a password',
      hint: `Put user and password into REDIS_URL, for example redis://securyflex:password@host:6379 (${page}).`,
      class: 'user',
    }),
  ],
  [/^WRONGPASS /, (_, address) => wrongPassword(userOf(address))],
  [
    /^NOPERM .*run the '([^']+)' command/,
    ([, command = ''], address) => missing(`run ${command.toUpperCase()}`, `+${command}`, address),
  ],
  [/^NOPERM .*keys/, (_, address) => missing(`use the keys ${prefix}:*`, `~${prefix}:*`, address)],
  [/^NOPERM .*channels/, (_, address) => missing(`use the channels ${prefix}:*`, `'&${prefix}:*'`, address)],
  [
    /^(?:NOPERM|ERR The user executing the script can't run)/,
    () => ({
      what: 'refuses a command of a script to this user',
      hint: `Its administrator sees which with ACL LOG 1; the whole rule is in ${page}.`,
      class: 'user',
    }),
  ],
  [
    /^ERR The user executing the script can't access/,
    (_, address) => missing(`use the keys ${prefix}:*`, `~${prefix}:*`, address),
  ],
  [
    /^(?:-?OOM |.*\bOOM command not allowed)/,
    () => ({
      what: 'is full: it has reached its maxmemory',
      hint: 'Give it more, for example with: redis-cli CONFIG SET maxmemory 1gb (and in its redis.conf); what waits then goes on by itself.',
      class: 'transient',
    }),
  ],
  [
    /^READONLY /,
    () => ({
      what: 'is a read-only replica',
      hint: 'Write the address of its master into REDIS_URL; it is shown by: redis-cli INFO replication',
      class: 'transient',
    }),
  ],
  [
    /^LOADING /,
    () => ({
      what: 'is reading its data back and takes no commands yet',
      hint: 'Wait; how far it is shows: redis-cli INFO persistence',
      class: 'transient',
    }),
  ],
  [
    /^MISCONF /,
    () => ({
      what: 'takes no writes, because it cannot save its data',
      hint: 'Make room on its disk, or mend what its log says; what waits then goes on by itself.',
      class: 'transient',
    }),
  ],
  [
    /^DENIED .*protected mode/s,
    () => ({
      what: 'is in protected mode: without a password it talks to its own machine only',
      hint: `Give it a password, there, with: redis-cli CONFIG SET requirepass <password>, and write REDIS_URL=redis://:<password>@host:6379; a user of its own is better (${page}).`,
      class: 'user',
    }),
  ],
  [
    /^ERR max number of clients reached/,
    () => ({
      what: 'has as many connections as it may have (maxclients)',
      hint: 'Allow more with: redis-cli CONFIG SET maxclients 10000',
      class: 'transient',
    }),
  ],
  [
    /^ERR DB index is out of range/,
    () => ({
      what: 'has no database of that number',
      hint: 'Correct the number at the end of REDIS_URL; without one it is 0.',
      class: 'user',
    }),
  ],
]

function wrongPassword(user: string | undefined): Told {
  return {
    what: user === undefined ? 'refuses this password' : `refuses the user “${user}” or its password`,
    hint: `Correct REDIS_URL; a password in a URL is percent-encoded. A user is made as in ${page}.`,
    class: 'user',
  }
}

function missing(right: string, rule: string, address: RedisAddress | undefined): Told {
  const user = userOf(address)
  return {
    what: `does not let ${user === undefined ? 'this user' : `the user “${user}”`} ${right}`,
    hint: `Its administrator types: redis-cli ACL SETUSER ${user ?? 'default'} ${rule}; the whole rule is in ${page}.`,
    class: 'user',
  }
}

function userOf(address: RedisAddress | undefined): string | undefined {
  if (address === undefined) return undefined
  const { username } = new URL(address.url.reveal())
  return username === '' ? undefined : decodeURIComponent(username)
}

/** Certificates that nobody vouches for, in the codes of Node.js and OpenSSL. */
const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
])

function tlsTrouble(error: Said, address?: RedisAddress): Told | undefined {
  const code = systemCode(error) ?? ''
  if (untrusted.has(code)) {
    const own = address?.tls?.ca !== undefined
    return {
      what: `shows a certificate that ${own ? 'the authority in REDIS_TLS_CA did not sign' : 'no authority known here has signed'}`,
      hint: own
        ? 'Name the file of the authority that signed it: REDIS_TLS_CA=/etc/securyflex/redis-ca.pem'
        : 'If the authority is your own, name its file: REDIS_TLS_CA=/etc/securyflex/redis-ca.pem',
      class: 'user',
    }
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = altNames(error)
    return {
      what: `shows a certificate for another name${names === '' ? '' : ` (${names})`}`,
      hint: 'Write one of its names into REDIS_URL, or give Redis a certificate for this one.',
      class: 'user',
    }
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return {
      what: `shows a certificate that ${code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet'}`,
      hint: 'Give Redis a new certificate, or set this machine’s clock right.',
      class: 'user',
    }
  }
  if (/CERTIFICATE_REQUIRED|alert certificate required/i.test(`${code} ${error.message}`)) {
    return {
      what: 'asks for a certificate of ours',
      hint: 'Set REDIS_TLS_CERT and REDIS_TLS_KEY, or have Redis ask for none: tls-auth-clients no',
      class: 'user',
    }
  }
  if (/^ERR_SSL.*UNKNOWN_CA$/.test(code)) {
    return {
      what: 'does not trust the certificate in REDIS_TLS_CERT',
      hint: 'Have it signed by the authority that Redis names in tls-ca-cert-file.',
      class: 'user',
    }
  }
  return undefined
}

function altNames(error: Said): string {
  const { cert } = error as { cert?: { subjectaltname?: string } }
  return (cert?.subjectaltname ?? '').replaceAll(/(?:DNS|IP Address):/g, '')
}

const lostOnTheWay =
  /^(?:Connection is closed|Stream isn't writeable|Command timed out|Command aborted due to connection close|Reached the max retries per request)/

function networkTrouble(error: Said): Told | undefined {
  if (!lostOnTheWay.test(error.message)) return undefined
  return {
    what: 'went away before it had answered',
    hint: 'See whether it was done with: npm run backup:status',
    class: 'transient',
  }
}

/** Port and scheme do not fit: what speaks TLS there is asked without it, or the reverse. */
export function wrongScheme(address: RedisAddress, speaksTls: boolean, cause: unknown): BackupError {
  const right = speaksTls ? 'rediss://' : 'redis://'
  return new BackupError(
    'REDIS_UNREACHABLE',
    `Redis at ${address.shown} ${speaksTls ? 'speaks TLS at this port, and REDIS_URL begins with redis://' : 'does not speak TLS at this port, and REDIS_URL begins with rediss://'}.`,
    {
      hint: `Begin REDIS_URL with ${right}, or correct its port (${page}).`,
      class: 'user',
      cause,
    },
  )
}
