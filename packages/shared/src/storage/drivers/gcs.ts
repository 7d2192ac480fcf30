import { hash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Storage as GoogleStorage } from '@google-cloud/storage'
import { type GcsDestination, shownPlace } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import {
  type AuthClient,
  type BaseExternalAccountClient,
  ExternalAccountClient,
  type ExternalAccountClientOptions,
  JWT,
} from 'google-auth-library'
import { type Agents, watchedAgents } from '../cloud/agents.ts'
import { rangeHeader } from '../cloud/collect.ts'
import { ServerClock } from '../server-clock.ts'
import { type Fault, inWords, type Operation, type Wording } from '../cloud/trouble.ts'
import { directoryOf, partsOf } from '../keys.ts'
import { either } from '../signals.ts'
import type { ByteRange, Storage, StoredObject } from '../storage.ts'

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

interface Asking {
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** Statuses that are answers and no errors. */
  readonly also?: readonly number[]
}

/** What all who have this destination open share: who we are, connections, and what is known of the server's clock. */
interface Connected {
  readonly library: GoogleStorage
  readonly agents: Agents
  readonly clock: ServerClock
}

/**
 * A repository in a bucket of Google Cloud Storage, by its JSON API; objects are sent in one piece.
 *
 * Credentials are the library's. The requests are made here: those of its own file and bucket objects have no timeout
 * and cannot be ended, so that a server that never answers would keep a segment in memory with each try.
 */
export class GcsStorage implements Storage {
  readonly name: string
  readonly shown: string
  readonly #destination: GcsDestination
  readonly #connected: Connected
  readonly #signal: AbortSignal | undefined
  readonly #wording: Wording

  /** Use {@link openGcs}. */
  constructor(destination: GcsDestination, connected: Connected, signal?: AbortSignal) {
    this.name = destination.name
    this.shown = shownPlace(destination)
    this.#destination = destination
    this.#connected = connected
    this.#signal = signal
    this.#wording = wordingOf(destination, this.shown)
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#upload(key, body, {})
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    // Generation 0 is that of an object that does not exist.
    const { status } = await this.#upload(key, body, { ifGenerationMatch: '0' }, [412])
    return status !== 412
  }

  async get(key: string, range?: ByteRange): Promise<Buffer | undefined> {
    const { status, body } = await this.#ask('read', {
      path: this.#object(key),
      query: { alt: 'media' },
      ...(range === undefined ? {} : { headers: { range: rangeHeader(range) } }),
      also: [404, 416],
    })
    if (status === 404) return undefined
    return status === 416 ? Buffer.alloc(0) : body
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    const query = { fields: 'name,size,timeCreated' }
    const { status, body } = await this.#ask('read', { path: this.#object(key), query, also: [404] })
    if (status === 404) return undefined
    return { ...factsOf(this.#parse('read', body) as Resource), key }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    directoryOf(prefix)
    const own = this.#destination.prefix
    const query = { prefix: `${own}${prefix}`, fields: 'nextPageToken,items(name,size,timeCreated)' }
    let token: string | undefined
    do {
      const { body } = await this.#ask('list', {
        path: this.#bucket(),
        query: token === undefined ? query : { ...query, pageToken: token },
      })
      const page = this.#parse('list', body) as { nextPageToken?: string; items?: Resource[] }
      for (const item of page.items ?? []) yield { ...factsOf(item), key: item.name.slice(own.length) }
      token = page.nextPageToken
    } while (token !== undefined)
  }

  async delete(key: string): Promise<void> {
    await this.#ask('delete', { path: this.#object(key), method: 'DELETE', also: [404] })
  }

  /** An object appears when the whole of it has arrived: nothing can be left unfinished. */
  removeUnfinished(): Promise<number> {
    return Promise.resolve(0)
  }

  async now(): Promise<Date> {
    return this.#connected.clock.now(() => this.stat('repository.json'))
  }

  until(signal: AbortSignal): Storage {
    return new GcsStorage(this.#destination, this.#connected, either(this.#signal, signal))
  }

  #bucket(): string {
    return `/storage/v1/b/${encodeURIComponent(this.#destination.bucket)}/o`
  }

  #object(key: string): string {
    return `${this.#bucket()}/${encodeURIComponent(this.#destination.prefix + partsOf(key).join('/'))}`
  }

  /** A multipart upload: what is said of the object, its checksum with it, and its bytes. */
  async #upload(
    key: string,
    bytes: Uint8Array,
    query: Readonly<Record<string, string>>,
    also: readonly number[] = [],
  ): Promise<Answer> {
    const { prefix, storageClass } = this.#destination
    const boundary = randomBytes(16).toString('hex')
    const resource = {
      name: prefix + partsOf(key).join('/'),
      md5Hash: hash('md5', bytes, 'base64'),
      ...(storageClass === undefined ? {} : { storageClass }),
    }
    const head = `--${boundary}\r\ncontent-type: application/json\r\n\r\n${JSON.stringify(resource)}\r\n--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`
    return this.#ask('write', {
      path: `/upload${this.#bucket()}`,
      query: { uploadType: 'multipart', fields: 'name', ...query },
      method: 'POST',
      headers: { 'content-type': `multipart/related; boundary=${boundary}` },
      body: Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
      also,
    })
  }

  async #ask(operation: Operation, asking: Asking): Promise<Answer> {
    const answer = await this.#send(asking).catch((error: unknown) => {
      throw inWords(faultOf(error), operation, this.#wording)
    })
    this.#connected.clock.observe(answer.headers.get('date'))
    if (!isWhole(answer)) throw this.#cutOff(operation)
    const { status } = answer
    // A bucket that is not there is no object that is not there.
    const lacksBucket = status === 404 && /bucket does not exist/i.test(answer.body.toString())
    if (!lacksBucket && (status < 300 || asking.also?.includes(status) === true)) return answer
    throw inWords(faultOfAnswer(answer), operation, this.#wording)
  }

  /** The library gives what came of an answer whose connection was cut as if it were the whole. */
  #parse(operation: Operation, body: Buffer): unknown {
    try {
      return JSON.parse(body.toString()) as unknown
    } catch (error) {
      throw this.#cutOff(operation, error)
    }
  }

  #cutOff(operation: Operation, cause?: unknown): BackupError {
    const fault = { cause, status: 200, code: undefined, message: '', retryAfter: undefined }
    return inWords(fault, operation, this.#wording)
  }

  async #send({ path, query = {}, method = 'GET', headers = {}, body }: Asking): Promise<Answer> {
    const { library, agents } = this.#connected
    const url = `${library.apiEndpoint}${path}?${new URLSearchParams(query).toString()}`
    const {
      status,
      headers: answered,
      data,
    } = await library.authClient.request<ArrayBuffer>({
      url,
      method,
      headers,
      ...(body === undefined ? {} : { data: body }),
      agent: url.startsWith('http:') ? agents.http : agents.https,
      ...(this.#signal === undefined ? {} : { signal: this.#signal }),
      responseType: 'arraybuffer',
      retry: false,
      // The library answers 401 with a fresh token, if it can.
      validateStatus: (code: number) => code !== 401,
    })
    return { status, headers: answered, body: Buffer.from(data) }
  }
}

/** @throws STORAGE_REFUSED if the credentials cannot be read */
export async function openGcs(destination: GcsDestination): Promise<GcsStorage> {
  const { endpoint, credentials, patience } = destination
  const agents = watchedAgents(patience)
  // Those who say who we are may be silent, too.
  const transporterOptions = { agent: agentFor(agents) }
  const library = new GoogleStorage({
    clientOptions: { transporterOptions },
    ...(endpoint === undefined ? {} : { apiEndpoint: endpoint, useAuthWithCustomEndpoint: true }),
    // Without any the library looks where Google's usually are: a file, the metadata server.
    ...(credentials === undefined ? {} : { authClient: await clientOf(credentials, transporterOptions) }),
  })
  return new GcsStorage(destination, { library, agents, clock: new ServerClock() })
}

interface Transport {
  readonly agent: (url: URL) => Agents['http']
}

/** An agent of HTTPS is one of HTTP with other connections. */
const agentFor =
  ({ http, https }: Agents) =>
  ({ protocol }: URL) =>
    protocol === 'http:' ? http : https

const scope = 'https://www.googleapis.com/auth/devstorage.read_write'

async function clientOf(
  credentials: NonNullable<GcsDestination['credentials']>,
  transporterOptions: Transport,
): Promise<AuthClient> {
  const from = credentials.kind === 'file' ? credentials.path : 'The text of the credentials'
  try {
    const text =
      credentials.kind === 'file' ? await readFile(credentials.path, 'utf8') : credentials.json.reveal()
    const json = JSON.parse(text) as ExternalAccountClientOptions & {
      client_email?: string
      private_key?: string
    }
    const { client_email: email, private_key: key } = json
    if (email !== undefined && key !== undefined)
      return new JWT({ email, key, scopes: [scope], transporterOptions })
    const external = ExternalAccountClient.fromJSON({ ...json, scopes: [scope], transporterOptions })
    if (external !== null) return watchedExchange(external)
    throw new Error('it is neither the key of a service account nor a workload identity')
  } catch (error) {
    throw new BackupError('STORAGE_REFUSED', `${from} cannot be used as credentials: ${reason(error)}.`, {
      hint: 'Correct credentials: the path of a key file of Google’s, or its content.',
      cause: error,
    })
  }
}

/**
 * The library exchanges tokens over connections of its own, which nobody watches: a service that is silent would be
 * waited for without end, by every later request too. It has no option for that.
 */
function watchedExchange(client: BaseExternalAccountClient): AuthClient {
  const { stsCredential } = client as unknown as { stsCredential: { transporter: unknown } }
  stsCredential.transporter = client.transporter
  return client
}

/** Never the text itself: a key may stand in it, and errors of parsing quote it. */
function reason(error: unknown): string {
  return error instanceof SyntaxError ? 'it is no JSON' : (error as Error).message
}

/** Whether as much came as was announced; the length of what is unpacked on the way is not known. */
function isWhole({ headers, body }: Answer): boolean {
  const length = headers.get('content-length')
  return length === null || headers.has('content-encoding') || Number(length) === body.length
}

/** As much of an object's resource as is asked for. */
interface Resource {
  readonly name: string
  readonly size: string
  readonly timeCreated: string
}

function factsOf({ size, timeCreated }: Resource) {
  return { size: Number(size), modified: new Date(timeCreated) }
}

function faultOfAnswer({ status, headers, body }: Answer): Fault {
  const text = body.toString()
  const { message = text, reason } = errorIn(text)
  const isAltered = status === 400 && /md5|crc32c|hash/i.test(message)
  return {
    cause: new Error(`${String(status)}: ${message}`),
    status,
    code: isAltered ? 'ChecksumMismatch' : reason,
    message: message === '' ? `status ${String(status)}` : message,
    retryAfter: headers.get('retry-after') ?? undefined,
  }
}

function errorIn(text: string): { message?: string; reason?: string } {
  try {
    const { error } = JSON.parse(text) as {
      error?: { message?: string; errors?: { reason?: string }[] }
    }
    const reason = error?.errors?.[0]?.reason
    return {
      ...(error?.message === undefined ? {} : { message: error.message }),
      ...(reason ? { reason } : {}),
    }
  } catch {
    // Answers to reading are plain text, and those of a proxy on the way may be anything.
    return {}
  }
}

/** As much of the library's errors as tells what happened. */
interface Thrown {
  readonly message: string
  readonly code?: string | number
  readonly status?: number
  readonly response?: { readonly status?: number; readonly data?: unknown }
}

/** No answer came, or none to the question who we are. */
function faultOf(error: unknown): Fault {
  const { message, code, status, response } = error as Thrown
  const said = response?.data as { error?: string } | undefined
  const isCredentials =
    typeof said?.error === 'string' || /default credentials|key ?file|PEM|private key|invalid_/i.test(message)
  const isAnswer = status === 401 || response?.status === 401
  return {
    cause: error,
    status: isAnswer ? 401 : undefined,
    code: isCredentials ? 'GoogleCredentials' : typeof code === 'string' ? code : undefined,
    message: typeof said?.error === 'string' ? said.error : message,
    retryAfter: undefined,
  }
}

function wordingOf({ bucket }: GcsDestination, place: string): Wording {
  const permission = { write: 'create', read: 'get', list: 'list', delete: 'delete' }
  return {
    place,
    container: `The bucket ${bucket}`,
    hints: {
      missing: `Make it, or correct the name: gcloud storage buckets create gs://${bucket}`,
      credentials:
        'Correct credentials or GOOGLE_APPLICATION_CREDENTIALS, or log in: gcloud auth application-default login',
      rights: (operation) =>
        `Give the account a role with storage.objects.${permission[operation]}; docs/destinations.md has the roles. To replace an object it needs storage.objects.delete as well.`,
    },
  }
}
