import { writeFile } from 'node:fs/promises'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import { startAzurite } from './azurite.ts'
import { startCeph } from './ceph.ts'
import { startGcsServer } from './gcs-protocol-server.ts'
import { type Installation, startInstallation } from './installation.ts'
import { temporaryDirectory } from './temporary-directory.ts'

export const kinds = ['local', 's3', 'azure', 'gcs'] as const
export type Kind = (typeof kinds)[number]

/** An installation whose backups go to one destination of each kind, each called as its kind. */
export interface FourKinds extends AsyncDisposable {
  readonly installation: Installation
  /** Everything that is stored at a destination, through its driver. */
  storage(kind: Kind): Promise<Storage>
  /** Ends the servers of all but one, which has none or goes on. */
  endAllBut(kind: Kind): Promise<void>
}

/** @param env more variables, e.g. of the encryption */
export async function startFourKinds(env: Readonly<Record<string, string>> = {}): Promise<FourKinds> {
  const [directory, ceph, azurite, google] = await Promise.all([
    temporaryDirectory(),
    startCeph(),
    startAzurite(),
    startGcsServer(),
  ])
  const bucket = await ceph.makeBucket('backups')
  const file = directory.join('four.yaml')
  const text = `destinations:
  local: { kind: local, directory: ${directory.join('repository')} }
  s3:
    kind: s3
    bucket: ${bucket}
    prefix: production
    endpoint: ${ceph.endpoint}
    allowHttp: true
    accessKeyId: ${ceph.owner.accessKeyId}
    secretAccessKey: \${CEPH_SECRET}
  azure:
    kind: azure
    container: ${azurite.container}
    prefix: production
    endpoint: ${azurite.endpoint}
    allowHttp: true
    account: ${azurite.account}
    accountKey: \${AZURITE_KEY}
  gcs:
    kind: gcs
    bucket: ${google.bucket}
    prefix: production
    endpoint: ${google.url}
    allowHttp: true
    credentials: \${GOOGLE_KEY}
`
  await writeFile(file, text)
  const installation = await startInstallation({
    BACKUP_CONFIG: file,
    CEPH_SECRET: ceph.owner.secretAccessKey,
    AZURITE_KEY: azurite.key,
    GOOGLE_KEY: google.account(),
    // No worker is killed here, and one that waits for a store on a busy machine must not count as dead.
    WORKER_LOCK_DURATION: '30000',
    WORKER_STALLED_INTERVAL: '15000',
    ...env,
  })
  const servers = new Map<Kind, AsyncDisposable>([
    ['s3', ceph],
    ['azure', azurite],
    ['gcs', google],
  ])
  const end = async (kind: Kind) => {
    await servers.get(kind)?.[Symbol.asyncDispose]()
    servers.delete(kind)
  }
  return {
    installation,
    async storage(kind) {
      const destination = installation.config.destinations.find(({ name }) => name === kind)
      if (destination?.kind !== kind) throw new Error(`There is no destination ${kind}.`)
      return openStorage(destination)
    },
    async endAllBut(kind) {
      for (const other of kinds) if (other !== kind) await end(other)
    },
    async [Symbol.asyncDispose]() {
      await installation[Symbol.asyncDispose]()
      for (const kind of kinds) await end(kind)
      await directory.remove()
    },
  }
}
