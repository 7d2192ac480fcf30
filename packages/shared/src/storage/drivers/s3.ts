import { hash } from 'node:crypto'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
} from '@aws-sdk/client-s3'
import type { S3Destination } from '@securyflex/shared/config'
import { shownPlace } from '@securyflex/shared/config'
import { watchedAgents } from '../cloud/agents.ts'
import { collect, rangeHeader } from '../cloud/collect.ts'
import { held } from '../cloud/held.ts'
import { ServerClock } from '../server-clock.ts'
import { type Fault, inWords, type Operation, type Wording } from '../cloud/trouble.ts'
import { directoryOf, partsOf } from '../keys.ts'
import { either } from '../signals.ts'
import { lockOf, type LockingBucket, S3Locks } from './s3-locks.ts'
import type { ByteRange, Locks, Storage, StoredObject } from '../storage.ts'

/** A repository in a bucket of Amazon S3, or of a store that speaks its protocol. Objects are sent in one piece. */
export class S3Storage implements Storage {
  readonly name: string
  readonly shown: string
  readonly #destination: S3Destination
  readonly #connected: Connected
  readonly #signal: AbortSignal | undefined
  readonly #wording: Wording

  constructor(destination: S3Destination, connected = connect(destination), signal?: AbortSignal) {
    this.name = destination.name
    this.shown = shownPlace(destination)
    this.#destination = destination
    this.#connected = connected
    this.#signal = signal
    this.#wording = wordingOf(destination, this.shown)
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    const command = new PutObjectCommand(this.#object(key, body))
    await this.#ask('write', ({ client, until }) => client.send(command, until))
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    if (!this.#destination.conditionalWrites) return this.#putUnlessSeen(key, body)
    const command = new PutObjectCommand({ ...this.#object(key, body), IfNoneMatch: '*' })
    const stored = await this.#ask('write', ({ client, until }) => client.send(command, until), [409, 412])
    return stored !== undefined
  }

  /**
   * For stores without If-None-Match: looks, writes and looks again. Of two writers at the same moment both may
   * believe to be first; the content that is there in the end is that of one of them, whole.
   */
  async #putUnlessSeen(key: string, body: Uint8Array): Promise<boolean> {
    if ((await this.stat(key)) !== undefined) return false
    await this.put(key, body)
    return (await this.get(key))?.equals(body) === true
  }

  async get(key: string, range?: ByteRange): Promise<Buffer | undefined> {
    const command = new GetObjectCommand({
      ...this.#address(key),
      ...(range === undefined ? {} : { Range: rangeHeader(range) }),
    })
    const read = async ({ client, until }: Asking) => {
      const { Body } = await client.send(command, until)
      return Body === undefined ? Buffer.alloc(0) : collect(Body as unknown as AsyncIterable<Uint8Array>)
    }
    return this.#ask('read', read, [404], [416])
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    const command = new HeadObjectCommand(this.#address(key))
    const found = await this.#ask('read', ({ client, until }) => client.send(command, until), [404])
    if (found === undefined) return undefined
    return { key, size: found.ContentLength ?? 0, modified: found.LastModified ?? new Date(0) }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    directoryOf(prefix)
    const { bucket, prefix: own } = this.#destination
    const place = { Bucket: bucket, Prefix: `${own}${prefix}` }
    let token: string | undefined
    do {
      const command = new ListObjectsV2Command({ ...place, ...(token ? { ContinuationToken: token } : {}) })
      const page = await this.#ask('list', ({ client, until }) => client.send(command, until))
      for (const { Key, Size = 0, LastModified = new Date(0) } of page?.Contents ?? []) {
        if (Key !== undefined) yield { key: Key.slice(own.length), size: Size, modified: LastModified }
      }
      token = page?.IsTruncated === true ? page.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  async delete(key: string): Promise<void> {
    const { Bucket, Key } = this.#address(key)
    const command = new DeleteObjectCommand({ Bucket, Key })
    await this.#ask('delete', ({ client, until }) => client.send(command, until), [], [], 'NoSuchKey')
  }

  /** An object appears when the whole of it has arrived: nothing can be left unfinished. */
  removeUnfinished(): Promise<number> {
    return Promise.resolve(0)
  }

  async now(): Promise<Date> {
    return this.#connected.clock.now(() => this.stat('repository.json'))
  }

  get locks(): Locks | undefined {
    const { objectLock } = this.#destination
    if (objectLock === undefined) return undefined
    const bucket: LockingBucket = {
      shown: this.shown,
      address: (key) => {
        const { Bucket, Key } = this.#address(key)
        return { Bucket, Key }
      },
      ask: (operation, call, absent) =>
        this.#ask(operation, ({ client, until }) => call(client, until), absent),
      isThere: async (key) => (await this.stat(key)) !== undefined,
    }
    return new S3Locks(bucket, objectLock)
  }

  until(signal: AbortSignal): Storage {
    return new S3Storage(this.#destination, this.#connected, either(this.#signal, signal))
  }

  /** Bucket, key, and what the store needs to read it. */
  #address(key: string) {
    const { bucket, prefix, encryption } = this.#destination
    return { Bucket: bucket, Key: prefix + partsOf(key).join('/'), ...customerKey(encryption) }
  }

  #object(key: string, body: Uint8Array): PutObjectCommandInput {
    const { storageClass, encryption, objectLock, checksums } = this.#destination
    return {
      ...this.#address(key),
      Body: held(body),
      ContentType: 'application/octet-stream',
      // Given here, so that the store, and not only the library, compares them.
      ...(checksums === 'sha256'
        ? { ChecksumAlgorithm: 'SHA256', ChecksumSHA256: hash('sha256', body, 'base64') }
        : { ContentMD5: hash('md5', body, 'base64') }),
      ...(storageClass === undefined
        ? {}
        : { StorageClass: storageClass as NonNullable<PutObjectCommandInput['StorageClass']> }),
      ...(encryption?.kind === 'sse-s3' ? { ServerSideEncryption: 'AES256' } : {}),
      ...(encryption?.kind === 'sse-kms'
        ? {
            ServerSideEncryption: 'aws:kms',
            ...(encryption.key === undefined ? {} : { SSEKMSKeyId: encryption.key }),
          }
        : {}),
      ...(objectLock === undefined
        ? {}
        : {
            ObjectLockMode: lockOf(objectLock).Mode,
            ObjectLockRetainUntilDate: lockOf(objectLock).RetainUntilDate,
          }),
    }
  }

  /**
   * What `call` gives; undefined for a status of `absent`, or the error code `harmless`; no bytes for one of `beyond`.
   * @throws BackupError
   */
  async #ask<T>(
    operation: Operation,
    call: (asking: Asking) => Promise<T>,
    absent: readonly number[] = [],
    beyond: readonly number[] = [],
    harmless?: string,
  ): Promise<T | undefined> {
    const until = this.#signal === undefined ? {} : { abortSignal: this.#signal }
    try {
      return await call({ client: this.#connected.client, until })
    } catch (error) {
      const fault = faultOf(error)
      if (fault.code === 'NoSuchBucket') throw inWords({ ...fault, status: 404 }, operation, this.#wording)
      if (harmless !== undefined && fault.code === harmless) return undefined
      if (beyond.includes(fault.status ?? 0)) return Buffer.alloc(0) as T
      // 409 says that somebody else is writing it just now: that is not decided yet.
      if (fault.status === 409) throw inWords({ ...fault, status: 503 }, operation, this.#wording)
      if (absent.includes(fault.status ?? 0)) return undefined
      throw inWords(fault, operation, this.#wording)
    }
  }
}

/** Connections, and what is known of the server's clock: shared by all who have this destination open. */
interface Connected {
  readonly client: S3Client
  readonly clock: ServerClock
}

/** What a request is sent with. */
interface Asking {
  readonly client: S3Client
  readonly until: { readonly abortSignal?: AbortSignal }
}

function connect(destination: S3Destination): Connected {
  const clock = new ServerClock()
  return { client: createClient(destination, clock), clock }
}

function createClient(destination: S3Destination, clock: ServerClock): S3Client {
  const { region, endpoint, pathStyle, credentials, profile, patience } = destination
  const { http, https } = watchedAgents(patience)
  const client = new S3Client({
    // Stores of other makers have one region, and most call it this.
    ...(region === undefined && endpoint === undefined ? {} : { region: region ?? 'us-east-1' }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(profile === undefined ? {} : { profile }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: credentials.accessKeyId,
            secretAccessKey: credentials.secretAccessKey.reveal(),
            ...(credentials.sessionToken === undefined
              ? {}
              : { sessionToken: credentials.sessionToken.reveal() }),
          },
        }),
    forcePathStyle: pathStyle,
    followRegionRedirects: true,
    // Not every store answers it, and then each upload would wait for that.
    expectContinueHeader: false,
    maxAttempts: 1,
    // The driver gives the checksums itself; old stores refuse what the library would add.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { httpAgent: http, httpsAgent: https },
  })
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const { headers } = result.response as { headers?: Record<string, string> }
      clock.observe(headers?.['date'])
      return result
    },
    { step: 'deserialize', priority: 'low', name: 'serverClock' },
  )
  return client
}

function customerKey(encryption: S3Destination['encryption']) {
  if (encryption?.kind !== 'sse-c') return {}
  const key = encryption.key.reveal()
  const digest = hash('md5', Buffer.from(key, 'base64'), 'base64')
  return { SSECustomerAlgorithm: 'AES256', SSECustomerKey: key, SSECustomerKeyMD5: digest }
}

/** As much of the library's errors as tells what happened. */
interface Thrown {
  readonly name: string
  readonly message: string
  readonly Code?: string
  readonly code?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
}

function faultOf(error: unknown): Fault {
  const { name, message, Code, code, $metadata, $response } = error as Thrown
  // Errors of the answer to HEAD have no body, and are named after their status.
  const word = code ?? Code ?? (name === 'Error' || name === 'UnknownError' ? undefined : name)
  return {
    cause: error,
    status: $metadata?.httpStatusCode,
    code: word,
    message: message === 'UnknownError' || message === '' ? (word ?? name) : message,
    retryAfter: $response?.headers?.['retry-after'],
  }
}

function wordingOf({ bucket }: S3Destination, place: string): Wording {
  const actions = {
    write: 's3:PutObject',
    read: 's3:GetObject',
    list: 's3:ListBucket',
    delete: 's3:DeleteObject',
  }
  return {
    place,
    container: `The bucket ${bucket}`,
    hints: {
      missing: `Make it, or correct the name: aws s3 mb s3://${bucket}`,
      credentials:
        'Correct accessKeyId and secretAccessKey, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in again (aws sts get-caller-identity).',
      rights: (operation) => `Allow ${actions[operation]} in its policy; docs/destinations.md has the whole.`,
    },
  }
}
