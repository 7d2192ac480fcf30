import { BackupError } from '@securyflex/shared/errors'
import pg from 'pg'

/** SQLSTATE of bytes that are no text in the client's encoding (character_not_in_repertoire). */
export const noText = '22021'

/** The server's error about `what`, in this project's words. */
export function explainReading(error: unknown, what: string): BackupError {
  if (error instanceof BackupError) return error
  const said = error instanceof Error ? error.message : String(error)
  const state = error instanceof pg.DatabaseError ? error.code : undefined
  if (state === '42501') {
    return new BackupError('DATABASE_REFUSED', `The role may not read ${what}: ${said}.`, {
      hint: 'Type as a superuser: GRANT pg_read_all_data TO the role in DATABASE_URL (before version 14: GRANT SELECT ON …).',
      cause: error,
    })
  }
  if (state === '55P03') {
    return new BackupError('DATABASE_BUSY', `The lock on ${what} was not given in time.`, {
      hint: 'Look for a migration or VACUUM FULL that holds it, and run backups at another time.',
      cause: error,
    })
  }
  if (state === '42P01') {
    return new BackupError(
      'DATABASE_BUSY',
      `${what[0]?.toUpperCase() ?? ''}${what.slice(1)} was dropped while the database was read.`,
      {
        hint: 'Run backups at another time than migrations; the next attempt takes a new snapshot.',
        cause: error,
      },
    )
  }
  if (state === noText) {
    return new BackupError(
      'DATABASE_REFUSED',
      `The fingerprint cannot be taken: ${what} are not all UTF-8 (${said}).`,
      {
        hint: 'Rename what has such a name, or set BACKUP_FINGERPRINT=off: the backup itself takes any bytes.',
        cause: error,
      },
    )
  }
  if (state === undefined) {
    return new BackupError('DATABASE_UNREACHABLE', `The connection ended while ${what} was read: ${said}.`, {
      hint: "Look into the server's log for a restart or a failover.",
      cause: error,
    })
  }
  return new BackupError('DUMP_FAILED', `The fingerprint of ${what} failed: ${said} (${state}).`, {
    hint: 'BACKUP_FINGERPRINT=counts reads no values, off reads nothing.',
    cause: error,
  })
}
