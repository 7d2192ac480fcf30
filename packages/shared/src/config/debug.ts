/**
 * Whether `BACKUP_LOG_LEVEL=debug` asks for everything. It is known before, and without, a valid
 * configuration, so that the error of an invalid one can be shown in full too.
 */
export function wantsDebug(env: NodeJS.ProcessEnv = process.env): boolean {
  return env['BACKUP_LOG_LEVEL']?.trim().toLowerCase() === 'debug'
}
