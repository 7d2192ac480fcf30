export { type DataKey, openGearTable } from './data-key.ts'
export { createKeyRecord, type KeyRecord, keyRecordSchema, openKeyRecord } from './key-record.ts'
export { KeyRing } from './key-ring.ts'
export { generateKey, type KeyMaterial, parseKeyMaterial } from './material.ts'
