import { BackupError, redact, Secret } from '@securyflex/shared/errors'

type Plain = string | number | boolean | null | Plain[] | { [name: string]: Plain }

const deepest = 8
const secretName = /password|passphrase|secret/i
const mask = '[secret]'

/**
 * `fields` as data that any format can print: errors with code, hint, stack and causes; every text
 * redacted, and everything masked whose name says that it is a password, passphrase or secret.
 */
export function plain(fields: Readonly<Record<string, unknown>>): Record<string, Plain> {
  return record(fields, [])
}

function record(value: object, above: readonly object[]): Record<string, Plain> {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return Object.fromEntries(
    entries.map(([name, item]) => [redact(name), secretName.test(name) ? mask : simple(item, above)]),
  )
}

function simple(value: unknown, above: readonly object[]): Plain {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return redact(value)
  if (typeof value === 'number' || typeof value === 'boolean') return value
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'symbol') return redact(value.toString())
  if (typeof value === 'function') return '[function]'
  return ofObject(value, above)
}

function ofObject(value: object, above: readonly object[]): Plain {
  if (above.includes(value)) return '[circular]'
  if (above.length >= deepest) return '[deeper]'
  const path = [...above, value]
  if (value instanceof Secret) return mask
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (value instanceof URL) return redact(value.href)
  if (value instanceof Error) return ofError(value, path)
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (Array.isArray(value)) return value.map((item) => simple(item, path))
  if (value instanceof Set) return [...value].map((item) => simple(item, path))
  if (value instanceof Map) return record(Object.fromEntries<unknown>(value), path)
  return record(value, path)
}

function ofError(error: Error, above: readonly object[]): Plain {
  const ours = error instanceof BackupError
  const code = 'code' in error && (typeof error.code === 'string' || typeof error.code === 'number')
  return {
    name: error.name,
    message: redact(error.message),
    ...(code ? { code: simple(error.code, above) } : {}),
    ...(ours && error.hint !== undefined ? { hint: redact(error.hint) } : {}),
    ...(error.stack === undefined ? {} : { stack: redact(error.stack) }),
    ...(error.cause === undefined ? {} : { cause: simple(error.cause, above) }),
    ...(error instanceof AggregateError ? { errors: simple(error.errors, above) } : {}),
  }
}
