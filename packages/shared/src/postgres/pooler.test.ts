import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Connection } from '@securyflex/shared/config'
import type pg from 'pg'
import { openConnection } from './connect.ts'
import { refusePooler } from './pooler.ts'
import { rejection, testServer } from './test-server.ts'

const shared = testServer({ beforeAll, afterAll })

/** One message of the server: its letter, its length, its body. */
function message(letter: string, ...parts: readonly (number | string | Buffer)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => (typeof part === 'number' ? int32(part) : Buffer.from(part))),
  )
  return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const ready = message('Z', 'I')

/** A fake pooler: it announces process 1 and answers every query with the process that `processFor` picks. */
async function fakePooler(
  processFor: (connection: number, question: number) => number,
): Promise<{ open: () => Promise<pg.Client>; close: () => void }> {
  let connections = 0
  let questions = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const connection = connections++
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', 0), message('K', 1, 2), ready]))
      socket.on('data', (query) => {
        if (query.toString('latin1', 0, 1) === 'Q') socket.write(answer(processFor(connection, questions++)))
        else socket.end()
      })
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const target: Connection = { ...shared.connection(), hosts: [{ host: '127.0.0.1', port }] }
  return {
    open: () => openConnection(target, { applicationName: 'test' }),
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** One row with one column, `pid`, of type int4. */
function answer(pid: number): Buffer {
  const one = Buffer.from([0, 1])
  const column = ['pid\0', 0, Buffer.from([0, 0]), 23, Buffer.from([0, 4]), -1, Buffer.from([0, 0])]
  const value = String(pid)
  return Buffer.concat([
    message('T', one, ...column),
    message('D', one, value.length, value),
    message('C', 'SELECT 1\0'),
    ready,
  ])
}

describe('refusePooler', () => {
  it('lets a server through that is reached directly', async () => {
    await refusePooler(await shared.open(), () => shared.open())
  })

  it.each([
    ['hands out one process', () => 100],
    ['takes turns among two', (_: number, question: number) => 100 + (question % 2)],
    ['takes turns among five', (_: number, question: number) => 100 + (question % 5)],
  ])('refuses one that pools transactions and %s (a fake)', async (_, processFor) => {
    const pooler = await fakePooler(processFor)
    const client = await pooler.open()
    expect(await rejection(refusePooler(client, pooler.open))).toMatchObject({
      code: 'POOLER_REFUSED',
      class: 'permanent',
      hint: expect.stringContaining('DATABASE_URL'),
    })
    await client.end()
    pooler.close()
  })

  it('lets one through that pools sessions, if it can ask twice (a fake)', async () => {
    const pooler = await fakePooler((connection) => 100 + connection)
    const client = await pooler.open()
    await refusePooler(client, pooler.open)
    expect(await rejection(refusePooler(client))).toMatchObject({ code: 'POOLER_REFUSED' })
    await client.end()
    pooler.close()
  })
})
