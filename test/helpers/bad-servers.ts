import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer as createTlsServer } from 'node:https'
import { createServer, type Server, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { temporaryDirectory } from './temporary-directory.ts'

const run = promisify(execFile)

export interface BadServer extends AsyncDisposable {
  readonly url: string
  /** Requests that were heard. */
  readonly requests: number
}

export interface SilentServer extends BadServer {
  /** Connections that somebody holds open to it. */
  readonly connections: number
}

/** Accepts every connection, reads what comes, and never says a word. */
export async function silentServer(): Promise<SilentServer> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.resume().on('error', () => undefined)
  })
  const port = await listening(server)
  return {
    url: `http://127.0.0.1:${String(port)}`,
    requests: 0,
    get connections() {
      return open.size
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Has a certificate that it signed itself. */
export async function untrustedServer(): Promise<BadServer> {
  await using directory = await temporaryDirectory()
  const [key, cert] = [directory.join('key.pem'), directory.join('cert.pem')]
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const form = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2']
  await run('openssl', ['req', ...form, ...subject, '-keyout', key, '-out', cert])
  let requests = 0
  const server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }, (_, answer) => {
    requests += 1
    answer.end()
  })
  const port = await listening(server)
  return {
    url: `https://127.0.0.1:${String(port)}`,
    get requests() {
      return requests
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
