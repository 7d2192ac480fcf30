import { BackupError, type ErrorClass, type ErrorCode, systemCode } from '@securyflex/shared/errors'

/** What a provider's library said, in terms that all of them share. */
export interface Fault {
  readonly cause: unknown
  /** Of the answer; undefined where none came. */
  readonly status: number | undefined
  /** The provider's word, or the system's: `NoSuchBucket`, `ECONNREFUSED`. */
  readonly code: string | undefined
  readonly message: string
  readonly retryAfter: string | undefined
}

export type Operation = 'write' | 'read' | 'list' | 'delete'

/** How a provider's things are called, and what its people type. */
export interface Wording {
  /** `s3://bucket/prefix`. */
  readonly place: string
  /** `The bucket company-backups`. */
  readonly container: string
  readonly hints: {
    readonly missing: string
    readonly credentials: string
    readonly rights: (operation: Operation) => string
  }
}

interface Trouble {
  readonly code: ErrorCode
  readonly class?: ErrorClass
  readonly what: (wording: Wording, operation: Operation, fault: Fault) => string
  readonly hint: (wording: Wording, operation: Operation) => string
}

const doing = { write: 'written', read: 'read', list: 'listed', delete: 'removed' } as const
const verb = { write: 'write', read: 'read', list: 'list', delete: 'delete' } as const

/** Each kind of trouble, in the order in which it is looked for. */
const troubles: readonly (readonly [(fault: Fault) => boolean, Trouble])[] = [
  [
    // A library may wrap the error, and keep of it the words alone.
    ({ status, code, cause, message }) =>
      isTls(code) ||
      isTls(systemCode(deepest(cause))) ||
      (status === undefined && /\bcertificate\b/i.test(message)),
    {
      code: 'STORAGE_REFUSED',
      what: ({ place }, _, { message }) => `The certificate of ${place} is not accepted: ${message}.`,
      hint: () =>
        'Correct the endpoint; for an authority of your own set NODE_EXTRA_CA_CERTS=/path/of/its/certificate.pem.',
    },
  ],
  [
    ({ code, cause }) => /^(ENOTFOUND|EAI_AGAIN)$/.test(code ?? systemCode(deepest(cause)) ?? ''),
    {
      code: 'STORAGE_UNREACHABLE',
      what: ({ place }, _, { message }) => `The host of ${place} is not known: ${message}.`,
      hint: () => 'Correct endpoint, region or account, or the name service of this machine.',
    },
  ],
  [
    (fault) => fault.status === undefined && !hasAny(fault, noCredentials),
    {
      code: 'STORAGE_UNREACHABLE',
      what: ({ place }, _, { message }) => `${place} does not answer: ${message}.`,
      hint: () => 'Check that it can be reached from here; it is tried again.',
    },
  ],
  [
    // A connection that is cut in the middle of an answer: what came of it is no whole document.
    ({ status = 500 }) => status < 300,
    {
      code: 'STORAGE_UNREACHABLE',
      what: ({ place }) => `The answer of ${place} was cut off, or is none of a store.`,
      hint: () => 'It is tried again; if that goes on, look at what stands between here and the store.',
    },
  ],
  [
    (fault) => hasAny(fault, ['RequestTimeTooSkewed', 'RequestTimeSkewed']),
    {
      code: 'STORAGE_REFUSED',
      // The library corrects itself by the answer's time.
      class: 'transient',
      what: ({ place }) => `${place} refuses requests because this machine’s clock is wrong.`,
      hint: () => 'Set it: timedatectl set-ntp true',
    },
  ],
  [
    (fault) =>
      hasAny(fault, ['ExpiredToken', 'ExpiredTokenException', 'RequestExpired', 'TokenRefreshRequired']) ||
      (fault.status === 403 && /expir|not valid in the specified time frame/i.test(fault.message)),
    {
      code: 'STORAGE_REFUSED',
      what: ({ place }) => `The credentials for ${place} have expired, or are not valid yet.`,
      hint: ({ hints }) => hints.credentials,
    },
  ],
  [
    (fault) => fault.status === 401 || hasAny(fault, wrongCredentials) || hasAny(fault, noCredentials),
    {
      code: 'STORAGE_REFUSED',
      what: ({ place }, _, { message }) => `${place} does not accept the credentials: ${message}.`,
      hint: ({ hints }) => hints.credentials,
    },
  ],
  [
    (fault) =>
      hasAny(fault, locks) || (fault.status === 403 && /object ?lock|retention|WORM/i.test(fault.message)),
    {
      code: 'STORAGE_LOCKED',
      what: ({ place }, operation) => `An object of ${place} is locked and was not ${doing[operation]}.`,
      hint: () => 'It can be when its lock has run out.',
    },
  ],
  [
    (fault) =>
      fault.status === 507 || hasAny(fault, ['QuotaExceeded', 'InsufficientStorage', 'AccountSizeExceeded']),
    {
      code: 'STORAGE_FULL',
      what: ({ place }) => `There is no room left in ${place}.`,
      hint: () => 'Raise its quota, or remove old backups: npx --no securyflex-backup prune',
    },
  ],
  [
    ({ status }) => status === 403,
    {
      code: 'STORAGE_REFUSED',
      what: ({ place }, operation) => `These credentials may not ${verb[operation]} in ${place}.`,
      hint: ({ hints }, operation) => hints.rights(operation),
    },
  ],
  [
    ({ status }) => status === 404,
    {
      code: 'STORAGE_REFUSED',
      what: ({ container }) => `${container} does not exist.`,
      hint: ({ hints }) => hints.missing,
    },
  ],
  [
    (fault) => hasAny(fault, altered),
    {
      code: 'STORAGE_UNREACHABLE',
      what: ({ place }) => `What was sent to ${place} arrived altered, and was not stored.`,
      hint: () => 'It is sent again; if that goes on, look for a broken device on the way.',
    },
  ],
  [
    ({ status = 0 }) =>
      status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501),
    {
      code: 'STORAGE_UNREACHABLE',
      what: ({ place }, _, { status, code }) =>
        `${place} has trouble or asks for patience: ${String(status)}${code === undefined ? '' : ` ${code}`}.`,
      hint: () =>
        'It is tried again; fewer uploads at a time or less bandwidth for this destination may help.',
    },
  ],
]

const otherwise: Trouble = {
  code: 'STORAGE_REFUSED',
  what: ({ place }, _, { status, code, message }) =>
    `${place} refuses: ${String(status)}${code === undefined ? '' : ` ${code}`}: ${message}.`,
  hint: () => 'See docs/destinations.md for the settings of stores that lack something.',
}

/** `fault` as what happened to `operation`, with what can be done about it. */
export function inWords(fault: Fault, operation: Operation, wording: Wording): BackupError {
  const told = { ...fault, message: oneLine(fault.message) }
  const { code, class: kind, what, hint } = troubles.find(([fits]) => fits(told))?.[1] ?? otherwise
  const retryAfter = inMilliseconds(fault.retryAfter)
  return new BackupError(code, what(wording, operation, told), {
    hint: hint(wording, operation),
    cause: fault.cause,
    ...(kind === undefined ? {} : { class: kind }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

const wrongCredentials = [
  ...['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'AuthorizationHeaderMalformed'],
  ...['AuthenticationFailed', 'InvalidAuthenticationInfo', 'NoAuthenticationInformation'],
  ...['invalid_grant', 'invalid_client', 'unauthorized_client', 'authError'],
]

/** The library found none, or could not get any: nothing was asked of the place yet. */
const noCredentials = [
  ...['CredentialsProviderError', 'TokenProviderError', 'CredentialUnavailableError', 'AuthenticationError'],
  ...[
    'AggregateAuthenticationError',
    'AuthenticationRequiredError',
    'GoogleCredentials',
    'Region is missing',
  ],
]

const locks = [
  ...['BlobImmutableDueToPolicy', 'BlobImmutableDueToLegalHold', 'ObjectLocked', 'InvalidObjectState'],
  ...['retentionPolicyNotMet', 'objectUnderActiveHold', 'objectRetentionNotMet'],
]

const altered = [
  ...['BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch', 'InvalidDigest'],
  ...['Md5Mismatch', 'Crc64Mismatch', 'ChecksumMismatch', 'IncompleteBody'],
]

function hasAny({ code, message }: Fault, words: readonly string[]): boolean {
  return words.some((word) => code === word || message.startsWith(word))
}

function isTls(code: string | undefined): boolean {
  return /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO|HOSTNAME_MISMATCH)/.test(
    code ?? '',
  )
}

/** Libraries wrap the error of the connection. */
function deepest(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? deepest(error.cause) : error
}

function oneLine(text: string): string {
  return (text.split('\n')[0] ?? '').trim().replace(/\.$/, '')
}

/** Retry-After of RFC 9110: seconds, or a date. */
function inMilliseconds(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const milliseconds = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined
}
