export { type BackupQuery, type ChosenBackup, findBackup } from './find-backup.ts'
export { readGlobals } from './globals.ts'
export { type Restored, restore, type RestoreRequest } from './restore.ts'
