export { ArchiveOffsets } from './archive/offsets.ts'
export { readableSince } from './archive/readable-since.ts'
export { archiveToScript } from './archive/to-script.ts'
export { type ProposedRole, proposeBackupRole } from './backup-role.ts'
export { openConnection, sameServer, type OpenOptions } from './connect.ts'
export { createDatabase, dropAfter, dropDatabase, type NewDatabase } from './database.ts'
export { type FoundDatabases, listDatabases } from './databases.ts'
export { dumpArchive, dumpGlobals, type GlobalsTool, looksLikeArchive } from './dump.ts'
export { readGlobals } from './known-globals.ts'
export { childEnvironment, libpqEnvironment } from './environment.ts'
export { type Comparison, compareFingerprints } from './fingerprint/compare.ts'
export { databaseShape } from './fingerprint/database.ts'
export {
  type DatabaseShape,
  type Fingerprint,
  parseFingerprint,
  type RecordedLevel,
} from './fingerprint/fingerprint.ts'
export { takeFingerprint } from './fingerprint/take.ts'
export { refusePooler } from './pooler.ts'
export { refuseUnreadable } from './readable.ts'
export {
  type ArchiveFormat,
  type ArchiveInput,
  intoNewDatabase,
  restoreArchive,
  restoreIntoNewDatabase,
  type RestoreOptions,
} from './restore.ts'
export { runScriptInNewDatabase, type ScriptOptions } from './script.ts'
export { type Scratch, underScratchName, type UnfinishedRestore, unfinishedRestores } from './scratch.ts'
export { chooseRelations, isPartial } from './selection/choose.ts'
export { databaseSize, mayCreateDatabase, serverFacts, type ServerFacts } from './server-facts.ts'
export { endStaleSession, holdSnapshot, type Snapshot } from './snapshot.ts'
export { startThrowawayServer, type ThrowawayOptions, type ThrowawayServer } from './throwaway-server.ts'
export { startTool, tiedToParent, type Tool, type ToolOptions } from './tool.ts'
export { findTools, type Tools } from './tools.ts'
