import { BackupError, systemCode } from '@securyflex/shared/errors'

/**
 * What `write` gives; a disk that does not take it is named with what to do.
 * @throws SPOOL_UNUSABLE
 */
export async function inSpool<T>(write: () => T | Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (cause) {
    throw inWords(cause)
  }
}

function inWords(cause: unknown): unknown {
  switch (systemCode(cause)) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new BackupError('SPOOL_UNUSABLE', 'There is no space left for the spool.', {
        hint: 'Free some space, set BACKUP_SPOOL_DIR to another file system, or lower BACKUP_SPOOL_LIMIT.',
        cause,
      })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new BackupError('SPOOL_UNUSABLE', 'The spool cannot be written by this user.', {
        hint: 'Set BACKUP_SPOOL_DIR to a directory that this user may write.',
        cause,
      })
    case 'EIO':
      return new BackupError('SPOOL_UNUSABLE', 'The disk of the spool failed while it was written (EIO).', {
        hint: 'See what the kernel says of it (dmesg), and set BACKUP_SPOOL_DIR to another disk until it is mended.',
        cause,
      })
    default:
      return cause
  }
}

/** What is read; undefined where a power cut damaged it, for those who can do without: the steps that cannot say so. */
export async function unlessDamaged<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof BackupError && error.code === 'SPOOL_DAMAGED') return undefined
    throw error
  }
}
