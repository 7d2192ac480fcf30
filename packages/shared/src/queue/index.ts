export { markedSources, requestAgain } from './again.ts'
export {
  type Action,
  auditKey,
  describeAction,
  fieldsOf,
  readAction,
  recentActions,
  recordAction,
  type RecordedAction,
  timeOfEntry,
} from './audit.ts'
export { sharedLine, type SharedLine } from './bandwidth.ts'
export { begunRuns, forgetBegun, noteBegun, onceForRedis } from './begun.ts'
export { cancelRun, forgetCancel, isCancelled, onCancel } from './cancel.ts'
export { type ClaimLimits, claimPlace, heldPlaces, leaveClaim, type Wait, waitOf } from './claims.ts'
export { connectOrFail, connectPatiently, hearErrors } from './connection.ts'
export { askCancel, endPauses, pauseSubject, retryRun } from './control.ts'
export { checkUsable, evictionPolicy, untilUsable } from './fitness.ts'
export { jobIds, prefix, queueName, queueNames } from './names.ts'
export {
  type DumpResult,
  parsePayload,
  parseResult,
  type Payloads,
  type Results,
  type Skipped,
} from './payloads.ts'
export { requestOptionsSchema, type RunOptions, runOptionsSchema } from './options.ts'
export {
  everything,
  holdsFor,
  listPauses,
  pause,
  type Pause,
  pausedError,
  pauseOf,
  resume,
  shownSubject,
} from './pause.ts'
export { jobOptions, runsAreKept } from './policy.ts'
export { addChild, endOf, Queues } from './queues.ts'
export {
  type Asking,
  countOverlaps,
  hasBegun,
  reclaimSource,
  requestRun,
  type Requested,
  requestSlot,
} from './request.ts'
export { type EndedRun, restoreRun } from './restore-run.ts'
export {
  type KeptSchedule,
  lastSet,
  markOf,
  noteSet,
  readSchedules,
  schedulerId,
  type WantedSchedule,
} from './schedules.ts'
export { redisTarget, type RedisTarget } from './target.ts'
export {
  answersKey,
  parseTrigger,
  parseTriggerFields,
  requestTriggered,
  type Trigger,
  triggerKey,
} from './trigger.ts'
export { redisTrouble } from './trouble.ts'
