import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'

/** What becomes of one request on its way. */
export type Fault =
  /** It is not passed on; this is the answer. */
  | { readonly do: 'answer'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The connection is cut after so many bytes of what is sent. */
  | { readonly do: 'cut request'; readonly after: number }
  /** The connection is cut after so many bytes of the answer's body. */
  | { readonly do: 'cut answer'; readonly after: number }
  /** It is carried out, and the connection is cut before the answer. */
  | { readonly do: 'lose answer' }
  /** It is read, and never answered. */
  | { readonly do: 'silence' }
  /** One bit of what is sent is turned. */
  | { readonly do: 'alter' }

/** Stands between a client and an HTTP server, and spoils what it is told to. */
export interface FaultProxy extends AsyncDisposable {
  /** http://127.0.0.1:port */
  readonly url: string
  /** The methods of the requests that came, in their order. */
  readonly seen: readonly string[]
  /** These become of the next requests of `method`, one each; what comes after passes. */
  fail(method: string, ...faults: readonly Fault[]): void
}

/** Starts one in front of `http://127.0.0.1:port`. */
export async function startFaultProxy(port: number): Promise<FaultProxy> {
  const seen: string[] = []
  const waiting: { method: string; fault: Fault }[] = []
  const server = createServer((incoming, answer) => {
    const method = incoming.method ?? ''
    seen.push(method)
    const at = waiting.findIndex((one) => one.method === method)
    const [next] = at < 0 ? [] : waiting.splice(at, 1)
    pass(incoming, answer, port, next?.fault)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const own = typeof address === 'object' ? address?.port : undefined
  return {
    url: `http://127.0.0.1:${String(own)}`,
    seen,
    fail: (method, ...faults) => {
      waiting.push(...faults.map((fault) => ({ method, fault })))
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function pass(incoming: IncomingMessage, answer: ServerResponse, port: number, fault: Fault | undefined) {
  const cut = () => {
    incoming.socket.destroy()
  }
  incoming.on('error', () => undefined)
  if (fault?.do === 'silence') return void incoming.resume()
  if (fault?.do === 'answer') {
    incoming.resume()
    incoming.on('end', () => answer.writeHead(fault.status, fault.headers).end())
    return
  }
  const { method, url: path, headers } = incoming
  // Of its own: one that is used again may be closed by the server at that moment, a fault that nobody asked for.
  const onward = request({ host: '127.0.0.1', port, method, path, headers, agent: false })
  onward.on('error', cut)
  let sent = 0
  incoming.on('data', (chunk: Buffer) => {
    if (fault?.do === 'cut request' && sent + chunk.length > fault.after) {
      onward.destroy()
      cut()
      return
    }
    if (fault?.do === 'alter' && sent === 0 && chunk.length > 0) alter(chunk)
    sent += chunk.length
    onward.write(chunk)
  })
  incoming.on('end', () => onward.end())
  onward.on('response', (response) => {
    if (fault?.do === 'lose answer') {
      response.resume()
      response.on('end', cut)
      return
    }
    answer.writeHead(response.statusCode ?? 500, response.headers)
    let given = 0
    response.on('data', (chunk: Buffer) => {
      if (fault?.do === 'cut answer' && given + chunk.length > fault.after) {
        answer.write(chunk.subarray(0, fault.after - given), cut)
        response.destroy()
        return
      }
      given += chunk.length
      answer.write(chunk)
    })
    response.on('end', () => answer.end())
    response.on('error', cut)
  })
}

/** In the middle, since a body may have a frame around what is stored. */
function alter(chunk: Buffer): void {
  const at = Math.floor(chunk.length / 2)
  chunk[at] = (chunk[at] ?? 0) ^ 1
}
