import { type Destination, shownPlace } from '@securyflex/shared/config'
import { type Limiter, withBandwidth } from './bandwidth.ts'
import { LocalStorage, openLocalDirectory } from './drivers/local.ts'
import { type Known, lazily } from './lazy.ts'
import { lockTimes } from './lock-times.ts'
import { withRetries } from './retry.ts'
import type { Storage } from './storage.ts'

/** Waits of a half, one, two and four seconds, or as long as the place asks for. */
const policy = { attempts: 5, firstDelay: 500 }

/** Connections of a destination are shared by all who open it. */
const drivers = new WeakMap<Destination, Storage>()

/** The storage of a configured destination, ready to be written. @throws STORAGE_REFUSED, STORAGE_FULL of a directory */
export async function openStorage(destination: Destination, limiter?: Limiter): Promise<Storage> {
  if (destination.kind === 'local') await openLocalDirectory(destination.directory, destination.name)
  return openStorageForReading(destination, limiter)
}

/** The storage of a destination that is only read: nothing is created. */
export function openStorageForReading(destination: Destination, limiter?: Limiter): Storage {
  const known = drivers.get(destination)
  const driver = known ?? lazily(knownOf(destination), () => load(destination))
  drivers.set(destination, driver)
  return withRetries(limiter === undefined ? driver : withBandwidth(driver, limiter), policy)
}

function knownOf(destination: Destination): Known {
  const lock = destination.kind === 's3' ? destination.objectLock : undefined
  return {
    name: destination.name,
    shown: shownPlace(destination),
    spare: lock === undefined ? undefined : lockTimes(lock).spare,
  }
}

/** The one place that knows all drivers. Those of a cloud are loaded where one is configured, and only there. */
async function load(destination: Destination): Promise<Storage> {
  switch (destination.kind) {
    case 'local':
      return new LocalStorage(destination.name, destination.directory)
    case 's3':
      return new (await import('./drivers/s3.ts')).S3Storage(destination)
    case 'azure':
      return (await import('./drivers/azure.ts')).openAzure(destination)
    case 'gcs':
      return (await import('./drivers/gcs.ts')).openGcs(destination)
  }
}
