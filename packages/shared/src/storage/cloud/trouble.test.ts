import { describe, expect, it } from '@jest/globals'
import { type Fault, inWords, type Wording } from './trouble.ts'

const wording: Wording = {
  place: 's3://backups/',
  container: 'The bucket backups',
  hints: {
    missing: 'Make it.',
    credentials: 'Correct the keys.',
    rights: (operation) => `Allow ${operation}.`,
  },
}

const told = (fault: Partial<Fault>) =>
  inWords(
    {
      cause: undefined,
      status: undefined,
      code: undefined,
      message: 'said',
      retryAfter: undefined,
      ...fault,
    },
    'write',
    wording,
  )

describe('what a provider’s library said', () => {
  it.each([
    ['nothing answers', { code: 'ECONNREFUSED' }, 'STORAGE_UNREACHABLE', 'transient'],
    ['an unknown host', { code: 'ENOTFOUND' }, 'STORAGE_UNREACHABLE', 'transient'],
    ['an answer that was cut off', { status: 200, code: 'PARSE_ERROR' }, 'STORAGE_UNREACHABLE', 'transient'],
    ['429', { status: 429 }, 'STORAGE_UNREACHABLE', 'transient'],
    ['503', { status: 503, code: 'SlowDown' }, 'STORAGE_UNREACHABLE', 'transient'],
    ['altered bytes', { status: 400, code: 'BadDigest' }, 'STORAGE_UNREACHABLE', 'transient'],
    ['501', { status: 501, code: 'NotImplemented' }, 'STORAGE_REFUSED', 'permanent'],
    ['403', { status: 403, code: 'AccessDenied' }, 'STORAGE_REFUSED', 'permanent'],
    ['401', { status: 401 }, 'STORAGE_REFUSED', 'permanent'],
    ['a missing bucket', { status: 404, code: 'NoSuchBucket' }, 'STORAGE_REFUSED', 'permanent'],
    ['no room', { status: 403, code: 'QuotaExceeded' }, 'STORAGE_FULL', 'permanent'],
    ['a lock', { status: 409, code: 'BlobImmutableDueToPolicy' }, 'STORAGE_LOCKED', 'permanent'],
    ['a certificate by its code', { code: 'CERT_HAS_EXPIRED' }, 'STORAGE_REFUSED', 'permanent'],
    [
      'a certificate by words',
      { message: 'wrapper for Error: self-signed certificate' },
      'STORAGE_REFUSED',
      'permanent',
    ],
    ['no credentials', { code: 'CredentialsProviderError' }, 'STORAGE_REFUSED', 'permanent'],
  ] as const)('%s', (_, fault, code, kind) => {
    const error = told(fault)
    expect({ code: error.code, kind: error.class }).toEqual({ code, kind })
    expect(error.message).toMatch(/\.$/)
    expect(error.hint).toBeTruthy()
  })

  it('keeps how long the place asks for patience, in seconds or as a date', () => {
    expect(told({ status: 503, retryAfter: '7' }).retryAfter).toBe(7000)
    const date = new Date(Date.now() + 60_000).toUTCString()
    const asked = told({ status: 503, retryAfter: date }).retryAfter ?? 0
    expect(asked).toBeGreaterThan(50_000)
    expect(asked).toBeLessThanOrEqual(60_000)
    expect(told({ status: 503, retryAfter: 'soon' }).retryAfter).toBeUndefined()
  })

  it('is one sentence, whatever was said', () => {
    expect(told({ message: 'first line.\nsecond line' }).message).toBe(
      's3://backups/ does not answer: first line.',
    )
  })
})
