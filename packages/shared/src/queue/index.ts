export { cancelRun, forgetCancel, isCancelled, onCancel } from './cancel.ts'
export { connectOrFail, connectPatiently, hearErrors, redisTarget, type RedisTarget } from './connection.ts'
export { jobIds, prefix, queueName, queueNames } from './names.ts'
export {
  type DumpResult,
  parsePayload,
  parseResult,
  type Payloads,
  type Results,
  type RunOptions,
  runOptionsSchema,
  type Skipped,
} from './payloads.ts'
export { jobOptions } from './policy.ts'
export { addChild, Queues } from './queues.ts'
export { countOverlaps, reclaimSource, requestRun, type Requested, requestSlot } from './request.ts'
export { type KeptSchedule, readSchedules, schedulerId, type WantedSchedule } from './schedules.ts'
