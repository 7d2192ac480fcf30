import { connect as connectPlainly, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import type { RedisTarget } from './target.ts'

/** A Redis that turns one away says why before it is asked; how long that is waited for, in ms. */
const unasked = 200
/** How long its answer to a question is waited for, in ms. */
const patience = 1000

/**
 * What is said to somebody who first listens, then shows the password and asks `PING`: an error such as `DENIED …`
 * or `LOADING …` without its dash, `PONG`, or why TLS was refused; undefined if nothing of the kind comes. A client
 * that speaks first hears of a refusal only that the connection was reset.
 */
export async function firstWords(
  target: RedisTarget,
  secure: boolean,
): Promise<{ readonly message: string } | undefined> {
  const socket = open(target, secure)
  const words = Promise.withResolvers<{ message: string }>()
  let said = ''
  socket.on('data', (chunk: Buffer) => {
    said += chunk.toString('latin1')
    const telling = /^(?:\+OK\r\n)?[-+]((?!OK\r)[^\r\n]+)\r\n/.exec(said)
    if (telling?.[1] !== undefined) words.resolve({ message: telling[1] })
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code?.startsWith('ERR_SSL_')) words.resolve(error)
  })
  const asking = setTimeout(() => socket.write(question(target)), unasked)
  try {
    return await Promise.race([words.promise, ended(socket), late()])
  } finally {
    clearTimeout(asking)
    socket.destroy()
  }
}

/** Whether something at the address completes a TLS handshake, with whatever certificate. */
export async function speaksTls(target: RedisTarget): Promise<boolean> {
  if ('path' in target) return false
  const { host, port } = target
  // Nothing is sent and nothing believed: only the handshake counts.
  const socket = connectSecurely({ host, port, rejectUnauthorized: false })
  const done = new Promise<true>((resolve) => {
    socket.on('secureConnect', () => {
      resolve(true)
    })
  })
  try {
    return (await Promise.race([done, ended(socket), late()])) ?? false
  } finally {
    socket.destroy()
  }
}

function open(target: RedisTarget, secure: boolean): Socket {
  if ('path' in target) return connectPlainly({ path: target.path })
  const { host, port, tls = {} } = target
  return secure ? connectSecurely({ ...tls, host, port }) : connectPlainly({ host, port })
}

function question(target: RedisTarget): string {
  if ('path' in target || target.password === undefined) return command('PING')
  const { username = 'default', password } = target
  return command('AUTH', username, password) + command('PING')
}

/** As Redis' protocol has it, so that a password may contain anything. */
function command(...words: readonly string[]): string {
  const parts = words.map((word) => `$${String(Buffer.byteLength(word))}\r\n${word}\r\n`)
  return `*${String(words.length)}\r\n${parts.join('')}`
}

function ended(socket: Socket): Promise<undefined> {
  return new Promise((resolve) => {
    // Why it ended is what the caller wants to know better.
    socket.on('error', () => {
      resolve(undefined)
    })
    socket.on('close', () => {
      resolve(undefined)
    })
  })
}

function late(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(resolve, patience, undefined).unref()
  })
}
