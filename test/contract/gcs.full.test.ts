import { expect, it } from '@jest/globals'
import type { GcsDestination } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { openStorage } from '@securyflex/shared/storage'
import { silentServer } from '../helpers/bad-servers.ts'
import { type GcsServer, startGcsServer } from '../helpers/gcs-protocol-server.ts'
import { cloudContract } from './cloud-contract.ts'
import { storageContract } from './storage-contract.ts'

function destinationOf(
  server: GcsServer,
  account: string,
  changes: Partial<GcsDestination> = {},
): GcsDestination {
  return {
    kind: 'gcs',
    name: 'gcs',
    bucket: server.bucket,
    prefix: 'production/',
    endpoint: server.url,
    storageClass: undefined,
    patience: 60_000,
    credentials: { kind: 'json', json: new Secret(account) },
    ...changes,
  }
}

storageContract(
  'the GCS driver, at a server of the tests’ own that follows the JSON API’s documentation',
  async () => {
    const server = await startGcsServer()
    const storage = await openStorage(destinationOf(server, server.account()))
    return { storage, close: () => server[Symbol.asyncDispose]() }
  },
)

cloudContract('the GCS driver, at a server of the tests’ own', async () => {
  const server = await startGcsServer()
  const account = server.account()
  const of = (...may: Parameters<GcsServer['account']>) => destinationOf(server, server.account(...may))
  const destination = destinationOf(server, account)
  const unknown = account.replace(/subject\/[0-9a-f]+/, 'subject/nobody')
  return {
    port: server.port,
    destination,
    at: (endpoint) => ({ ...destination, endpoint }),
    wrongCredentials: [
      destinationOf(server, unknown),
      { ...destination, credentials: { kind: 'file', path: '/nowhere/key.json' } },
    ],
    withoutDeletion: of('create', 'get', 'list'),
    without: { write: of('get', 'list'), read: of('create', 'list'), list: of('create', 'get') },
    missing: { ...destination, bucket: 'no-such-bucket' },
    close: () => server[Symbol.asyncDispose](),
  }
})

it('does not wait without end for a token service that accepts and never answers', async () => {
  await using server = await startGcsServer()
  await using silent = await silentServer()
  const account = JSON.parse(server.account()) as object
  const waiting = JSON.stringify({ ...account, token_url: `${silent.url}/token` })
  const storage = await openStorage(destinationOf(server, waiting, { patience: 200 }))
  await expect(storage.get('key')).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
})
