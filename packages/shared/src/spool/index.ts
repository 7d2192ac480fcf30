export { admit, bookedBytes } from './admission.ts'
export { Attempt, type AttemptFacts, type StreamEntry, type StreamList } from './attempt.ts'
export {
  type Batch,
  type BatchState,
  batchTarget,
  type BatchWriter,
  largestBatch,
  reservationOf,
} from './batch.ts'
export { removeAbandoned } from './janitor.ts'
export { type BatchRecord, type SpoolCipher, spoolCipher } from './records.ts'
export { type RunSpool, Spool } from './spool.ts'
export { unlessDamaged } from './trouble.ts'
