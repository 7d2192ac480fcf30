import type { Secret } from '@securyflex/shared/errors'

/** A place that holds a repository. */
export type Destination = LocalDestination | S3Destination | AzureDestination | GcsDestination

/** What every place has. */
interface Place {
  readonly name: string
  /** Batches that all workers together store there at a time; undefined leaves it to each worker. */
  readonly uploads?: number | undefined
  /** Bytes a second that all workers together send to it and read from it; undefined means no limit. */
  readonly bandwidth?: number | undefined
}

/** A repository in a directory of this machine. */
export interface LocalDestination extends Place {
  readonly kind: 'local'
  /** Absolute path. */
  readonly directory: string
}

interface CloudPlace extends Place {
  /** Before the name of every object; empty, or ends with `/`. */
  readonly prefix: string
  /** Milliseconds without a byte in either direction after which a connection is given up. */
  readonly patience: number
}

/** A bucket of Amazon S3, or of a store that speaks its protocol. */
export interface S3Destination extends CloudPlace {
  readonly kind: 's3'
  readonly bucket: string
  /** Undefined leaves it to the SDK, which looks into `~/.aws`. */
  readonly region: string | undefined
  /** Undefined means Amazon. */
  readonly endpoint: string | undefined
  /** `https://host/bucket` instead of `https://bucket.host`. */
  readonly pathStyle: boolean
  readonly storageClass: string | undefined
  readonly encryption: S3Encryption | undefined
  readonly objectLock: ObjectLock | undefined
  /** What the store compares the bytes that arrive with. */
  readonly checksums: 'sha256' | 'md5'
  /** Whether the store has `If-None-Match: *`. */
  readonly conditionalWrites: boolean
  /** Undefined means the SDK's own chain: environment, profiles, SSO, web identity, container, instance. */
  readonly credentials: S3Credentials | undefined
  readonly profile: string | undefined
}

export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Secret
  readonly sessionToken: Secret | undefined
}

/** How the store is to encrypt what it keeps, besides the encryption of ours. */
export type S3Encryption =
  | { readonly kind: 'sse-s3' }
  /** Without `key` with the account's own. */
  | { readonly kind: 'sse-kms'; readonly key: string | undefined }
  /** 32 bytes in base64; without them nothing can be read. */
  | { readonly kind: 'sse-c'; readonly key: Secret }

/** Objects cannot be removed or replaced for so many days, counted from when they are stored. */
export interface ObjectLock {
  readonly mode: 'governance' | 'compliance'
  readonly days: number
}

/** A container of an Azure storage account. */
export interface AzureDestination extends CloudPlace {
  readonly kind: 'azure'
  readonly container: string
  /** Of the account: `https://account.blob.core.windows.net`. */
  readonly endpoint: string
  /** Access tier; undefined means the account's own. */
  readonly storageClass: string | undefined
  readonly credentials: AzureCredentials
}

export type AzureCredentials =
  | { readonly kind: 'key'; readonly account: string; readonly key: Secret }
  /** A shared access signature, without the `?`. */
  | { readonly kind: 'sas'; readonly sas: Secret }
  /** The chain of @azure/identity: environment, workload identity, managed identity, command lines. */
  | { readonly kind: 'identity'; readonly clientId: string | undefined }

/** A bucket of Google Cloud Storage. */
export interface GcsDestination extends CloudPlace {
  readonly kind: 'gcs'
  readonly bucket: string
  /** Undefined means Google. */
  readonly endpoint: string | undefined
  readonly storageClass: string | undefined
  /** Undefined means the application default credentials. */
  readonly credentials: GcsCredentials | undefined
}

export type GcsCredentials =
  | { readonly kind: 'file'; readonly path: string }
  /** The JSON text of a service account's key, or of a workload identity federation. */
  | { readonly kind: 'json'; readonly json: Secret }

/** Where a destination is, for people; never with a secret. */
export function shownPlace(destination: Destination): string {
  switch (destination.kind) {
    case 'local':
      return destination.directory
    case 's3': {
      const { bucket, prefix, endpoint } = destination
      return `s3://${bucket}/${prefix}${endpoint === undefined ? '' : ` at ${endpoint}`}`
    }
    case 'azure':
      return `${destination.endpoint}/${destination.container}/${destination.prefix}`
    case 'gcs': {
      const { bucket, prefix, endpoint } = destination
      return `gs://${bucket}/${prefix}${endpoint === undefined ? '' : ` at ${endpoint}`}`
    }
  }
}
