import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/**
 * The part of Google Cloud Storage's JSON API that the driver uses, written from its documentation
 * (cloud.google.com/storage/docs/json_api/v1), and the exchange of a workload identity's token for one of Google's
 * (RFC 8693). It is not Google's, and no emulator of Google's exists: what passes here is known to follow the
 * documentation, not to work with the service.
 */
export interface GcsServer extends AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly bucket: string
  /** The JSON of a workload identity that may do these things in the bucket; the default is all. */
  account(...may: Permission[]): string
}

export type Permission = 'create' | 'get' | 'list' | 'delete'

interface Blob {
  readonly content: Buffer
  readonly generation: number
  readonly timeCreated: string
  readonly storageClass: string
}

const bucket = 'backups'
const all: readonly Permission[] = ['create', 'get', 'list', 'delete']

export async function startGcsServer(): Promise<GcsServer> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const url = `http://127.0.0.1:${String(address.port)}`
  const google = new Google(url)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    google.answer(request, response).catch((error: unknown) => {
      response.destroy(error as Error)
    })
  })
  return {
    port: address.port,
    url,
    bucket,
    account: (...may) => google.account(may.length === 0 ? all : may),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** An error of the API, as it is written. */
class Refusal extends Error {
  readonly status: number
  readonly reason: string

  constructor(status: number, reason: string, message: string) {
    super(message)
    this.status = status
    this.reason = reason
  }
}

class Google {
  readonly #url: string
  readonly #blobs = new Map<string, Blob>()
  /** By the token that somebody else vouches with. */
  readonly #accounts = new Map<string, readonly Permission[]>()
  readonly #tokens = new Map<string, readonly Permission[]>()
  #generation = Date.now() * 1000

  constructor(url: string) {
    this.#url = url
  }

  account(may: readonly Permission[]): string {
    const token = randomBytes(16).toString('hex')
    this.#accounts.set(token, may)
    return JSON.stringify({
      type: 'external_account',
      audience:
        '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/tests/providers/tests',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${this.#url}/token`,
      credential_source: { url: `${this.#url}/subject/${token}` },
    })
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#url)
    const body = Buffer.concat((await request.toArray()) as Buffer[])
    try {
      if (url.pathname.startsWith('/subject/')) {
        response.end(url.pathname.slice('/subject/'.length))
        return
      }
      if (url.pathname === '/token') {
        json(response, 200, this.#token(new URLSearchParams(body.toString())))
        return
      }
      this.#serve(request, response, url, body)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { status, reason, message } = error
      if (url.pathname === '/token') {
        json(response, status, { error: reason, error_description: message })
        return
      }
      // What is asked for as media is refused in plain text.
      if (url.searchParams.get('alt') === 'media') response.writeHead(status).end(message)
      else json(response, status, { error: { code: status, message, errors: [{ reason, message }] } })
    }
  }

  #token(form: URLSearchParams): object {
    const may = this.#accounts.get(form.get('subject_token') ?? '')
    if (may === undefined) throw new Refusal(400, 'invalid_grant', 'The subject token is not known.')
    const token = randomBytes(16).toString('hex')
    this.#tokens.set(token, may)
    const issued_token_type = 'urn:ietf:params:oauth:token-type:access_token'
    return { access_token: token, issued_token_type, token_type: 'Bearer', expires_in: 3600 }
  }

  #serve(request: IncomingMessage, response: ServerResponse, url: URL, body: Buffer): void {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    const may = this.#tokens.get(token)
    if (may === undefined) throw new Refusal(401, 'authError', 'Invalid Credentials')
    const need = (permission: Permission, name = '') => {
      if (may.includes(permission)) return
      const message = `The account does not have storage.objects.${permission} access to ${bucket}/${name}.`
      throw new Refusal(403, 'forbidden', message)
    }
    const upload = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(url.pathname)
    const object = /^\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)$/.exec(url.pathname)
    const listing = /^\/storage\/v1\/b\/([^/]+)\/o$/.exec(url.pathname)
    const named = (upload ?? object ?? listing)?.[1]
    if (named === undefined) throw new Refusal(404, 'notFound', 'Not Found')
    if (decodeURIComponent(named) !== bucket)
      throw new Refusal(404, 'notFound', 'The specified bucket does not exist.')
    const name = decodeURIComponent(object?.[2] ?? '')
    if (upload !== null && request.method === 'POST') {
      json(response, 200, this.#upload(request, url, body, need))
    } else if (object !== null && request.method === 'GET') {
      need('get', name)
      this.#get(request, response, url, name)
    } else if (object !== null && request.method === 'DELETE') {
      need('delete', name)
      this.#find(name)
      this.#blobs.delete(name)
      response.writeHead(204).end()
    } else if (listing !== null && request.method === 'GET') {
      need('list')
      json(response, 200, this.#list(url))
    } else throw new Refusal(405, 'methodNotAllowed', 'Method Not Allowed')
  }

  #find(name: string): Blob {
    const blob = this.#blobs.get(name)
    if (blob !== undefined) return blob
    throw new Refusal(404, 'notFound', `No such object: ${bucket}/${name}`)
  }

  #upload(
    request: IncomingMessage,
    url: URL,
    body: Buffer,
    need: (permission: Permission, name: string) => void,
  ): object {
    const { resource, content } = multipart(request.headers['content-type'] ?? '', body)
    const { name, md5Hash, storageClass = 'STANDARD' } = resource
    if (name === undefined) throw new Refusal(400, 'required', 'Required')
    need('create', name)
    const there = this.#blobs.get(name)
    const expected = url.searchParams.get('ifGenerationMatch')
    if (expected !== null && expected !== String(there?.generation ?? 0)) {
      const message = 'At least one of the pre-conditions you specified did not hold.'
      throw new Refusal(412, 'conditionNotMet', message)
    }
    // Replacing needs the permission to delete what was there.
    if (there !== undefined) need('delete', name)
    const md5 = createHash('md5').update(content).digest('base64')
    if (md5Hash !== undefined && md5Hash !== md5) {
      const message = `Provided MD5 hash "${md5Hash}" doesn't match calculated MD5 hash "${md5}".`
      throw new Refusal(400, 'invalid', message)
    }
    const generation = ++this.#generation
    this.#blobs.set(name, { content, generation, timeCreated: new Date().toISOString(), storageClass })
    return { name }
  }

  #get(request: IncomingMessage, response: ServerResponse, url: URL, name: string): void {
    const blob = this.#find(name)
    if (url.searchParams.get('alt') !== 'media') {
      json(response, 200, resourceOf(name, blob))
      return
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    if (range === null) {
      response.writeHead(200, { 'content-length': blob.content.length }).end(blob.content)
      return
    }
    const [start, end] = [Number(range[1]), Number(range[2])]
    if (start >= blob.content.length) {
      throw new Refusal(416, 'requestedRangeNotSatisfiable', 'The requested range cannot be satisfied.')
    }
    const part = blob.content.subarray(start, end + 1)
    const total = `bytes ${String(start)}-${String(start + part.length - 1)}/${String(blob.content.length)}`
    response.writeHead(206, { 'content-range': total, 'content-length': part.length }).end(part)
  }

  /** Pages of 1,000 at the most, in the order of names; the token is the last name of the page before. */
  #list(url: URL): object {
    const [prefix, after] = [url.searchParams.get('prefix') ?? '', url.searchParams.get('pageToken') ?? '']
    const names = [...this.#blobs.keys()].filter((name) => name.startsWith(prefix) && name > after).sort()
    const page = names.slice(0, 1000)
    const items = page.map((name) => resourceOf(name, this.#find(name)))
    const last = page.at(-1)
    return {
      ...(items.length === 0 ? {} : { items }),
      ...(names.length > page.length && last !== undefined ? { nextPageToken: last } : {}),
    }
  }
}

function resourceOf(name: string, { content, timeCreated, storageClass }: Blob): object {
  return { name, size: String(content.length), timeCreated, storageClass }
}

/** RFC 2387, as the API has it: what is said of the object, then its bytes. */
function multipart(type: string, body: Buffer) {
  const boundary = /boundary="?([^";]+)/.exec(type)?.[1] ?? ''
  const parts: Buffer[] = []
  let at = body.indexOf(`--${boundary}`)
  for (;;) {
    const from = body.indexOf('\r\n', at) + 2
    const to = body.indexOf(`\r\n--${boundary}`, from)
    if (at < 0 || to < 0) break
    parts.push(body.subarray(body.indexOf('\r\n\r\n', from) + 4, to))
    at = to + 2
  }
  const [head, content] = parts
  if (head === undefined || content === undefined)
    throw new Refusal(400, 'badContent', 'Malformed multipart body.')
  const resource = JSON.parse(head.toString()) as { name?: string; md5Hash?: string; storageClass?: string }
  return { resource, content: Buffer.from(content) }
}

function json(response: ServerResponse, status: number, content: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(content))
}
