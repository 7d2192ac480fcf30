import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import { composeMessage, messageSchema, sendWebhook } from './index.ts'
import { finishedRun } from './sample.ts'

interface Received {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

let server: Server
let received: Received[]
let answer: (response: ServerResponse, nth: number) => void
const message = composeMessage(finishedRun)

beforeEach(async () => {
  received = []
  server = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ headers: request.headers, body })
      answer(response, received.length)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
  if (server.listening) await once(server, 'close')
})

function webhook(secret?: string) {
  const origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
  return {
    url: new Secret(`${origin}/hidden/path`),
    shown: `${origin}/…`,
    secret: secret === undefined ? undefined : new Secret(secret),
  }
}

function respond(status: number, headers: Record<string, string> = {}) {
  answer = (response) => response.writeHead(status, headers).end('ignored')
}

it('posts the message as JSON, unsigned without a secret', async () => {
  respond(200)
  await sendWebhook(webhook(), message, { delivery: 'id-1' })
  expect(received).toHaveLength(1)
  expect(received[0]?.headers).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'x-securyflex-delivery': 'id-1',
  })
  expect(received[0]?.headers).not.toHaveProperty('x-securyflex-signature')
  expect(messageSchema.parse(JSON.parse(received[0]?.body ?? ''))).toEqual(message)
})

it('signs the body with the secret', async () => {
  respond(204)
  await sendWebhook(webhook('top secret'), { ...message, text: 'Ünïcode' })
  const key = await crypto.subtle.importKey(
    'raw',
    new TextEncoder().encode('top secret'),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign'],
  )
  const expected = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(received[0]?.body))
  expect(received[0]?.headers['x-securyflex-signature']).toBe(
    `sha256=${Buffer.from(expected).toString('hex')}`,
  )
})

describe('a failure', () => {
  it.each([408, 425, 429, 500, 502, 503, 504])('of status %i may pass', async (status) => {
    respond(status)
    await expect(sendWebhook(webhook(), message)).rejects.toMatchObject({
      code: 'WEBHOOK_FAILED',
      class: 'transient',
    })
  })

  it.each([400, 401, 403, 404, 410, 413, 422])('of status %i does not pass', async (status) => {
    respond(status)
    await expect(sendWebhook(webhook(), message)).rejects.toMatchObject({
      code: 'WEBHOOK_FAILED',
      class: 'permanent',
    })
  })

  it('is over when the next attempt succeeds, under the same delivery id', async () => {
    answer = (response, nth) => response.writeHead(nth === 1 ? 500 : 200).end()
    const options = { delivery: 'one' }
    await expect(sendWebhook(webhook(), message, options)).rejects.toMatchObject({ class: 'transient' })
    await sendWebhook(webhook(), message, options)
    expect(received.map(({ headers }) => headers['x-securyflex-delivery'])).toEqual(['one', 'one'])
  })

  it('says what happened without the hidden part of the address', async () => {
    respond(404)
    const target = webhook()
    await expect(sendWebhook(target, message)).rejects.toMatchObject({
      message: `The webhook at ${target.shown} answered 404 Not Found.`,
    })
  })

  it('is a redirect, which is not followed', async () => {
    respond(307, { location: '/elsewhere' })
    await expect(sendWebhook(webhook(), message)).rejects.toMatchObject({
      class: 'permanent',
      hint: 'Set BACKUP_WEBHOOK_URL to the address that it redirects to.',
    })
    expect(received).toHaveLength(1)
  })

  it('is a server that never answers', async () => {
    answer = () => undefined
    await expect(sendWebhook(webhook(), message, { timeout: 50 })).rejects.toMatchObject({
      class: 'transient',
      message: expect.stringContaining('did not answer within 0.05 s'),
    })
  })

  it('is a server that closes the connection', async () => {
    answer = (response) => response.socket?.destroy()
    await expect(sendWebhook(webhook(), message)).rejects.toMatchObject({
      code: 'WEBHOOK_FAILED',
      class: 'transient',
    })
  })

  it('is a server that is not there', async () => {
    const target = webhook()
    server.close()
    await once(server, 'close')
    await expect(sendWebhook(target, message)).rejects.toMatchObject({
      class: 'transient',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })
})

it('ends with the reason of an aborted signal', async () => {
  const stop = new AbortController()
  answer = () => {
    stop.abort(new Error('shutting down'))
  }
  await expect(sendWebhook(webhook(), message, { signal: stop.signal })).rejects.toThrow('shutting down')
})

it('does not wait for the end of an endless answer', async () => {
  answer = (response) => {
    response.writeHead(200).write('…')
  }
  await sendWebhook(webhook(), message)
})
