import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'

/** What libpq said to a server before it was turned away. */
interface Heard {
  readonly place: string
  readonly database: string | undefined
  readonly user: string | undefined
  readonly password: string | undefined
  readonly parameters: Readonly<Record<string, string>>
}

/** Containers often have no IPv6. */
export const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
)

export interface Recorder extends AsyncDisposable {
  readonly port: number
  /** The directory of the Unix socket. */
  readonly sockets: string
  /** Lets the real psql connect; undefined if it gave up without saying who it is. */
  hear(psql: string, text: string, env: Readonly<Record<string, string>>): Promise<Heard | undefined>
}

/**
 * Not a PostgreSQL server: it listens on 127.0.0.1, ::1 (where there is one) and a Unix socket, asks each client for its password
 * in clear text and refuses it. What real libpq makes of a connection string can be seen in no better way,
 * since psql shows no password (https://www.postgresql.org/docs/current/protocol-flow.html).
 */
export async function startRecorder(sockets: string): Promise<Recorder> {
  let heard: Heard | undefined
  const servers: Server[] = []
  const listen = async (place: string, ...where: [number, string] | [string]) => {
    const server = createServer((socket) => {
      converse(socket, (login) => (heard = { place, ...login }))
    })
    if (where.length === 1) server.listen(where[0])
    else server.listen(...where)
    await once(server, 'listening')
    servers.push(server)
    return server
  }
  const address = (await listen('127.0.0.1', 0, '127.0.0.1')).address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  if (hasIPv6) await listen('::1', port, '::1')
  await listen(sockets, join(sockets, `.s.PGSQL.${String(port)}`))
  return {
    port,
    sockets,
    async hear(psql, text, env) {
      heard = undefined
      await new Promise<void>((resolve) => {
        // It always fails: nobody is let in. What matters is what it said.
        execFile(psql, ['-X', '-w', '-d', text, '-c', ''], { env: { ...env }, timeout: 10_000 }, () => {
          resolve()
        })
      })
      return heard
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) {
        server.close()
        await once(server, 'close')
      }
    },
  }
}

const sslRequest = 80877103
const gssRequest = 80877104

function converse(socket: Socket, record: (login: Omit<Heard, 'place'>) => void): void {
  let buffer: Buffer = Buffer.alloc(0)
  let startup: Record<string, string> | undefined
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk])
    if (startup === undefined) {
      if (buffer.length < 8 || buffer.length < buffer.readInt32BE(0)) return
      const code = buffer.readInt32BE(4)
      const message = buffer.subarray(8, buffer.readInt32BE(0))
      buffer = buffer.subarray(buffer.readInt32BE(0))
      if (code === sslRequest || code === gssRequest) return void socket.write('N')
      startup = readParameters(message)
      record(login(startup, undefined))
      return void socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]))
    }
    if (buffer.length < 5 || buffer.length < 1 + buffer.readInt32BE(1)) return
    record(login(startup, buffer.subarray(5, buffer.readInt32BE(1)).toString()))
    socket.end(refuse())
  })
}

function readParameters(message: Buffer): Record<string, string> {
  const words = message.toString().split('\0')
  const parameters: Record<string, string> = {}
  for (let index = 0; words[index]; index += 2) parameters[words[index] ?? ''] = words[index + 1] ?? ''
  return parameters
}

function login({ user, database, ...parameters }: Record<string, string>, password: string | undefined) {
  return { user, database, password, parameters }
}

function refuse(): Buffer {
  const fields = Buffer.from('SFATAL\0C28P01\0Mnobody is let in\0\0')
  const head = Buffer.alloc(5, 'E')
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}
