export { type Limiter, ownLine } from './bandwidth.ts'
export { openStorage, openStorageForReading } from './open.ts'
export { within } from './within.ts'
export type { ByteRange, Locks, Storage, StoredObject } from './storage.ts'
