export { type DumpFile, openDumpFile, type Passphrases } from './dump-file/dump-file.ts'
export {
  type Exported,
  exportBackup,
  type ExportFormat,
  exportFormats,
  type ExportRequest,
} from './export.ts'
export { type BackupQuery, type ChosenBackup, findBackup, namesBackup } from './find-backup.ts'
export { readGlobals } from './globals.ts'
export { type Restored, restore, type RestoreRequest } from './restore.ts'
export { type RestoredFile, restoreFile, type RestoreFileRequest } from './restore-file.ts'
export { removeAbandonedArchives } from './materialise.ts'
export { freeDatabaseName, unfinishedRestores } from './target.ts'
export { type Derivation } from './openssl/derivation.ts'
export { opensslLine } from './openssl/salted.ts'
