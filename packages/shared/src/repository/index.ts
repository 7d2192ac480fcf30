export { adoptRepository } from './adopting.ts'
export { type FoundBackup, findBackups, listRuns, listSources, newestBackup, readBackup } from './backups.ts'
export { setAside } from './aside.ts'
export { checkBackup, type Checked, checkPresence, presentOf } from './checking.ts'
export { checkCopy, type CopyCheck } from './checking-copies.ts'
export { type Copied, copyBackup, type Copying } from './copying.ts'
export { describeKept, keepBackup, type Keeping, type Kept, listKeeps, readKept } from './keeping.ts'
export { decodeDocument, encodeDocument, type ReadDocument } from './document.ts'
export { keptByRules } from './retention.ts'
export { layout, reservedNames, runOf } from './layout.ts'
export { type Manifest, type ManifestStream, type StreamKind, streamKinds } from './manifest.ts'
export { type OpenManifest, openManifest } from './open-manifest.ts'
export { makePrunePlan, prune, type Pruned, type PruneOptions, type PrunePlace } from './prune.ts'
export { weighPrune, type PruneWeight } from './prune-weight.ts'
export {
  planPrune,
  type PruneCandidate,
  type PruneDecision,
  type PruneInput,
  type PrunePlan,
} from './prune-plan.ts'
export { findInAny } from './older.ts'
export { type Predecessor, predecessorOf } from './predecessor.ts'
export { BackupReader } from './reading.ts'
export {
  checkOwnDocuments,
  prepareRepositories,
  readInstallation,
  readKeyRecords,
  refuseForeign,
  type Writing,
} from './repository.ts'
export {
  type FoundByScrub,
  readScrubRecord,
  type ScrubRecord,
  unhealedRuns,
  vouchingKey,
} from './scrub-record.ts'
export { type Finding, scrub, type Scrubbed, type ScrubOptions, type ScrubPlace } from './scrubbing.ts'
export { describeFate, scrubProblem, unhealedOf } from './scrub-problem.ts'
export { newRunId, parseRunId, timeOfRun } from './run-id.ts'
export { type DumpedStream, sealBackup, type Sealing } from './sealing.ts'
export { uncheckedCopies } from './unchecked.ts'
export { longestRun, storeSegment, type StoredSegment, oldestAllowed } from './segment-store.ts'
