import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Stands before a server on this machine: lets what comes through, refuses it, or takes it without a word. */
export interface Gate extends AsyncDisposable {
  /** http://127.0.0.1:port, whether it is open or not. */
  readonly url: string
  open(): Promise<void>
  /** Connections are refused, and those that stand are cut. */
  close(): Promise<void>
  /** Everything is taken and nothing answered, on connections that stand, too. `after` so many more bytes were sent. */
  silence(after?: number): void
  /** Resolves when it has fallen silent, or is. */
  readonly silent: Promise<void>
}

/** Opens one before `port`. */
export async function startGate(port: number): Promise<Gate> {
  const sockets = new Set<Socket>()
  let left = Number.POSITIVE_INFINITY
  const { promise: silent, resolve: fell } = Promise.withResolvers<undefined>()
  const kept = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // Either side may cut it, which ends the other.
    socket.on('error', () => undefined)
  }
  const letThrough = (client: Socket) => {
    kept(client)
    const server = connect(port, '127.0.0.1')
    server.on('error', () => undefined)
    client.on('close', () => server.destroy())
    server.on('close', () => {
      if (left > 0) client.destroy()
    })
    client.on('data', (chunk) => {
      left -= chunk.length
      if (left > 0) server.write(chunk)
      else fell(undefined)
    })
    server.on('data', (chunk) => {
      if (left > 0) client.write(chunk)
    })
  }
  let server: Server | undefined
  const listen = async (at: number) => {
    server = createServer(letThrough).listen(at, '127.0.0.1')
    await once(server, 'listening')
    return server.address() as { port: number }
  }
  const own = (await listen(0)).port
  const close = async () => {
    const closing = server
    if (closing === undefined) return
    server = undefined
    const closed = once(closing, 'close')
    closing.close()
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return {
    url: `http://127.0.0.1:${String(own)}`,
    silent,
    async open() {
      left = Number.POSITIVE_INFINITY
      // What was taken in silence was never passed on: such a connection answers nothing any more.
      for (const socket of sockets) socket.destroy()
      if (server === undefined) await listen(own)
    },
    close,
    silence(after = 0) {
      left = after
      if (after === 0) fell(undefined)
    },
    [Symbol.asyncDispose]: close,
  }
}
