import type { Destination } from '@securyflex/shared/config'
import { LocalStorage, openLocalDirectory } from './drivers/local.ts'
import { withRetries } from './retry.ts'
import type { Storage } from './storage.ts'

const policy = { attempts: 4, firstDelay: 250 }

/** The storage of a configured destination, ready to be written; the one place that knows all drivers. */
export async function openStorage(destination: Destination): Promise<Storage> {
  await openLocalDirectory(destination.directory)
  return openStorageForReading(destination)
}

/** The storage of a destination that is only read: nothing is created. */
export function openStorageForReading(destination: Destination): Storage {
  return withRetries(new LocalStorage(destination.name, destination.directory), policy)
}
