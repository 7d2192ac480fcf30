import { hash } from 'node:crypto'
import {
  AnonymousCredential,
  type BlockBlobClient,
  type BlockBlobUploadOptions,
  ContainerClient,
  newPipeline,
  type Pipeline,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { type AzureDestination, shownPlace } from '@securyflex/shared/config'
import { type Agents, watchedAgents } from '../cloud/agents.ts'
import { collect } from '../cloud/collect.ts'
import { held } from '../cloud/held.ts'
import { ServerClock } from '../server-clock.ts'
import { type Fault, inWords, type Operation, type Wording } from '../cloud/trouble.ts'
import { directoryOf, partsOf } from '../keys.ts'
import { either } from '../signals.ts'
import type { ByteRange, Storage, StoredObject } from '../storage.ts'

/** A repository in a container of an Azure storage account; each object is a block blob, sent in one piece. */
export class AzureStorage implements Storage {
  readonly name: string
  readonly shown: string
  readonly #destination: AzureDestination
  readonly #container: ContainerClient
  readonly #clock: ServerClock
  readonly #until: { readonly abortSignal?: AbortSignal }
  readonly #wording: Wording

  /** Use {@link openAzure}. */
  constructor(
    destination: AzureDestination,
    container: ContainerClient,
    clock: ServerClock,
    signal?: AbortSignal,
  ) {
    this.name = destination.name
    this.shown = shownPlace(destination)
    this.#destination = destination
    this.#container = container
    this.#clock = clock
    this.#until = signal === undefined ? {} : { abortSignal: signal }
    this.#wording = wordingOf(destination, this.shown)
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    const blob = this.#blob(key)
    await this.#ask('write', () => this.#upload(blob, body, {}))
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    const blob = this.#blob(key)
    const upload = () => this.#upload(blob, body, { conditions: { ifNoneMatch: '*' } })
    return (await this.#ask('write', upload, ['BlobAlreadyExists', 'ConditionNotMet'])) !== undefined
  }

  async get(key: string, range?: ByteRange): Promise<Buffer | undefined> {
    const blob = this.#blob(key)
    const read = async () => {
      const { readableStreamBody } = await blob.download(range?.start, range?.length, {
        ...this.#until,
        maxRetryRequests: 0,
      })
      return collect(readableStreamBody as AsyncIterable<Buffer>)
    }
    const bytes = await this.#ask('read', read, ['BlobNotFound', 'InvalidRange'], 404)
    return bytes ?? (range !== undefined && (await this.stat(key)) ? Buffer.alloc(0) : undefined)
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    const blob = this.#blob(key)
    const found = await this.#ask('read', () => blob.getProperties(this.#until), ['BlobNotFound'], 404)
    if (found === undefined) return undefined
    return { key, size: found.contentLength ?? 0, modified: found.lastModified ?? new Date(0) }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    directoryOf(prefix)
    const own = this.#destination.prefix
    const blobs = this.#container
      .listBlobsFlat({ ...this.#until, prefix: `${own}${prefix}` })
      [Symbol.asyncIterator]()
    for (;;) {
      const next = await this.#ask('list', () => blobs.next())
      if (next === undefined || next.done === true) return
      const { name, properties } = next.value
      const { contentLength = 0, lastModified } = properties
      yield { key: name.slice(own.length), size: contentLength, modified: lastModified }
    }
  }

  async delete(key: string): Promise<void> {
    const blob = this.#blob(key)
    await this.#ask('delete', () => blob.delete(this.#until), ['BlobNotFound'])
  }

  /** A blob appears when the whole of it has arrived: nothing can be left unfinished. */
  removeUnfinished(): Promise<number> {
    return Promise.resolve(0)
  }

  async now(): Promise<Date> {
    return this.#clock.now(() => this.stat('repository.json'))
  }

  until(signal: AbortSignal): Storage {
    const both = either(this.#until.abortSignal, signal)
    return new AzureStorage(this.#destination, this.#container, this.#clock, both)
  }

  #blob(key: string): BlockBlobClient {
    return this.#container.getBlockBlobClient(this.#destination.prefix + partsOf(key).join('/'))
  }

  async #upload(blob: BlockBlobClient, body: Uint8Array, options: BlockBlobUploadOptions): Promise<true> {
    const { storageClass } = this.#destination
    await blob.upload(held(body), body.length, {
      ...this.#until,
      ...options,
      ...(storageClass === undefined ? {} : { tier: storageClass }),
      blobHTTPHeaders: { blobContentType: 'application/octet-stream' },
      // The service compares this with what arrives, and keeps it with the blob.
      transactionalContentMD5: hash('md5', body, 'buffer'),
    })
    return true
  }

  /** What `call` gives; undefined for the error codes of `absent`, and for `bare` where an answer has no code. */
  async #ask<T>(
    operation: Operation,
    call: () => Promise<T>,
    absent: readonly string[] = [],
    bare?: number,
  ): Promise<T | undefined> {
    try {
      return await call()
    } catch (error) {
      const fault = faultOf(error)
      if (absent.includes(fault.code ?? '')) return undefined
      if (fault.code === undefined && fault.status !== undefined && fault.status === bare) return undefined
      throw inWords(fault, operation, this.#wording)
    }
  }
}

/** The library of identities is loaded only where nothing else says who we are. */
export async function openAzure(destination: AzureDestination): Promise<AzureStorage> {
  const { endpoint, container, credentials, patience } = destination
  const clock = new ServerClock()
  const pipeline = newPipeline(await credentialOf(credentials), {
    // `maxTries` counts the first one.
    retryOptions: { maxTries: 1 },
    keepAliveOptions: { enable: true },
  })
  watch(pipeline, watchedAgents(patience), clock)
  const signature = credentials.kind === 'sas' ? `?${credentials.sas.reveal()}` : ''
  return new AzureStorage(
    destination,
    new ContainerClient(`${endpoint}/${container}${signature}`, pipeline),
    clock,
  )
}

/** Every request takes our connections; every answer tells its time. */
function watch(pipeline: Pipeline, { http, https }: Agents, clock: ServerClock): void {
  pipeline.factories.push({
    create: (next) => ({
      async sendRequest(request) {
        request.agent = request.url.startsWith('http:') ? http : https
        const answer = await next.sendRequest(request)
        clock.observe(answer.headers.get('date'))
        return answer
      },
    }),
  })
}

async function credentialOf(credentials: AzureDestination['credentials']) {
  switch (credentials.kind) {
    case 'key':
      return new StorageSharedKeyCredential(credentials.account, credentials.key.reveal())
    case 'sas':
      return new AnonymousCredential()
    case 'identity': {
      const { DefaultAzureCredential } = await import('@azure/identity')
      const { clientId } = credentials
      return new DefaultAzureCredential(
        clientId === undefined
          ? {}
          : { managedIdentityClientId: clientId, workloadIdentityClientId: clientId },
      )
    }
  }
}

/** As much of the library's errors as tells what happened. */
interface Thrown {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly statusCode?: number
  readonly details?: { readonly errorCode?: string }
  readonly response?: { readonly headers?: { get(name: string): string | undefined } }
}

function faultOf(error: unknown): Fault {
  const { name, message, code, statusCode, details, response } = error as Thrown
  const header = (of: string) => response?.headers?.get(of)
  const isNamed = name !== 'Error' && name !== 'RestError'
  return {
    cause: error,
    status: statusCode,
    code: details?.errorCode ?? header('x-ms-error-code') ?? code ?? (isNamed ? name : undefined),
    message,
    retryAfter: header('retry-after'),
  }
}

function wordingOf({ container, credentials }: AzureDestination, place: string): Wording {
  const permission = { write: 'w and c', read: 'r', list: 'l', delete: 'd' }
  const action = { write: 'write', read: 'read', list: 'read', delete: 'delete' }
  return {
    place,
    container: `The container ${container}`,
    hints: {
      missing: `Make it, or correct the name: az storage container create --name ${container}`,
      credentials: {
        key: 'Correct account and accountKey, or the connection string.',
        sas: 'Make a new shared access signature, and write it to sas.',
        identity:
          'Give this machine an identity, or log in: az login; docs/destinations.md tells of all ways.',
      }[credentials.kind],
      rights: (operation) =>
        credentials.kind === 'sas'
          ? `Make a shared access signature with the permission ${permission[operation]}.`
          : `Allow Microsoft.Storage/…/blobs/${action[operation]}; docs/destinations.md has the roles.`,
    },
  }
}
