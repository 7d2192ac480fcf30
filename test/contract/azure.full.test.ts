import { randomBytes } from 'node:crypto'
import { ContainerSASPermissions, generateBlobSASQueryParameters } from '@azure/storage-blob'
import type { AzureDestination } from '@securyflex/shared/config'
import { Secret } from '@securyflex/shared/errors'
import { openStorage } from '@securyflex/shared/storage'
import { type Azurite, startAzurite } from '../helpers/azurite.ts'
import { cloudContract } from './cloud-contract.ts'
import { storageContract } from './storage-contract.ts'

function destinationOf(server: Azurite, changes: Partial<AzureDestination> = {}): AzureDestination {
  return {
    kind: 'azure',
    name: 'azure',
    container: server.container,
    prefix: 'production/',
    endpoint: server.endpoint,
    storageClass: undefined,
    patience: 60_000,
    credentials: { kind: 'key', account: server.account, key: new Secret(server.key) },
    ...changes,
  }
}

const hour = 60 * 60 * 1000

/** A signature for the container, good for an hour, or one that ran out an hour ago. */
function signatureOf(server: Azurite, permissions: string, hours = 1): AzureDestination {
  const sas = generateBlobSASQueryParameters(
    {
      containerName: server.container,
      permissions: ContainerSASPermissions.parse(permissions),
      startsOn: new Date(Date.now() - 2 * hour),
      expiresOn: new Date(Date.now() + hours * hour),
    },
    server.credential,
  )
  return destinationOf(server, { credentials: { kind: 'sas', sas: new Secret(sas.toString()) } })
}

storageContract('the Azure driver, at Azurite', async () => {
  const server = await startAzurite()
  const storage = await openStorage(destinationOf(server))
  return { storage, close: () => server[Symbol.asyncDispose]() }
})

cloudContract('the Azure driver, at Azurite', async () => {
  const server = await startAzurite()
  const destination = destinationOf(server)
  const wrong = new Secret(randomBytes(32).toString('base64'))
  return {
    port: server.port,
    destination,
    at: (url) => ({ ...destination, endpoint: `${url}/${server.account}` }),
    wrongCredentials: [
      { ...destination, credentials: { kind: 'key', account: server.account, key: wrong } },
      signatureOf(server, 'racwdl', -1),
    ],
    withoutDeletion: signatureOf(server, 'rcwl'),
    without: {
      write: signatureOf(server, 'rl'),
      read: signatureOf(server, 'wcl'),
      list: signatureOf(server, 'rcw'),
    },
    missing: { ...destination, container: 'no-such-container' },
    close: () => server[Symbol.asyncDispose](),
  }
})
