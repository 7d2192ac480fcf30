export { openStorage, openStorageForReading } from './open.ts'
export type { Storage, StoredObject } from './storage.ts'
