export { asBackupError, BackupError, describe, systemCode, type ErrorDetails } from './backup-error.ts'
export { codes, type ErrorClass, type ErrorCode } from './codes.ts'
export { redact, Secret } from './secret.ts'
