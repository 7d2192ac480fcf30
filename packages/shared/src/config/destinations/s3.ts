import { Secret } from '@securyflex/shared/errors'
import type { ObjectLock, S3Credentials, S3Destination, S3Encryption } from './destination.ts'
import { cloudSettings, endpointOf, type Said } from './said.ts'

/** Objects of these cannot be read at once, and each backup is read back. */
const asleep = ['GLACIER', 'DEEP_ARCHIVE']

export function s3(said: Said): S3Destination | undefined {
  const { settings, environment } = said
  const { bucket, storageClass, profile } = settings
  if (bucket === undefined) {
    said.refuse('bucket', 'it is missing', 'Write for example bucket: company-backups.')
    return undefined
  }
  if (asleep.includes(storageClass ?? '')) {
    const what = 'what lies there cannot be read at once, and each backup is read back when it is made'
    said.refuse('storageClass', what, 'Write for example STANDARD_IA or GLACIER_IR.')
  }
  const endpoint = endpointOf(said, settings.endpoint)
  return {
    kind: 's3',
    ...cloudSettings(said),
    bucket,
    region: settings.region ?? environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'],
    endpoint,
    pathStyle: settings.pathStyle ?? (endpoint !== undefined && !endpoint.endsWith('.amazonaws.com')),
    storageClass,
    encryption: encryption(said),
    objectLock: objectLock(said),
    checksums: settings.checksums ?? 'sha256',
    conditionalWrites: settings.conditionalWrites ?? true,
    credentials: credentials(said),
    profile: profile ?? environment['AWS_PROFILE'],
  }
}

function encryption(said: Said): S3Encryption | undefined {
  const { encryption: kind, kmsKey, customerKey } = said.settings
  if (kmsKey !== undefined && kind !== 'sse-kms') {
    said.refuse('kmsKey', 'it belongs to another encryption', 'Write encryption: sse-kms, or remove it.')
  }
  if (customerKey !== undefined && kind !== 'sse-c') {
    said.refuse('customerKey', 'it belongs to another encryption', 'Write encryption: sse-c, or remove it.')
  }
  if (kind === 'sse-s3') return { kind }
  if (kind === 'sse-kms') return { kind, key: kmsKey }
  if (kind === undefined) return undefined
  if (customerKey === undefined || Buffer.from(customerKey, 'base64').length !== 32) {
    const what = customerKey === undefined ? 'it is missing' : 'it is not 32 bytes in base64'
    said.refuse('customerKey', what, 'Make one with: openssl rand -base64 32')
    return undefined
  }
  return { kind, key: new Secret(customerKey) }
}

function objectLock({ settings, refuse }: Said): ObjectLock | undefined {
  if (settings.objectLock === undefined) return undefined
  const { mode, days } = settings.objectLock
  if (mode !== undefined && days !== undefined) return { mode, days }
  const missing = mode === undefined ? 'mode' : 'days'
  refuse('objectLock', `it does not say its ${missing}`, 'Write for example { mode: compliance, days: 40 }.')
  return undefined
}

/** Those that are named; else those of the environment, which the SDK would not see where `.env` has them. */
function credentials(said: Said): S3Credentials | undefined {
  const { settings, environment } = said
  const { accessKeyId, secretAccessKey, sessionToken, profile } = settings
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return {
      accessKeyId,
      secretAccessKey: new Secret(secretAccessKey),
      sessionToken: sessionToken === undefined ? undefined : new Secret(sessionToken),
    }
  }
  if (accessKeyId !== undefined || secretAccessKey !== undefined) {
    const missing = accessKeyId === undefined ? 'accessKeyId' : 'secretAccessKey'
    said.refuse(missing, 'it is missing, and the other half is there', `Write ${missing} too, or neither.`)
    return undefined
  }
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: key, AWS_SESSION_TOKEN: token } = environment
  const hasProfile = profile !== undefined || environment['AWS_PROFILE'] !== undefined
  if (id === undefined || key === undefined || hasProfile) return undefined
  return {
    accessKeyId: id,
    secretAccessKey: new Secret(key),
    sessionToken: token === undefined ? undefined : new Secret(token),
  }
}
