import { BackupError } from '@securyflex/shared/errors'
import { BackupReader } from '@securyflex/shared/repository'
import type { ChosenBackup } from './find-backup.ts'

/**
 * The SQL of roles, memberships and tablespaces that is in a backup. It may hold the hashes of passwords.
 * @throws BACKUP_NOT_FOUND if the backup has none, and what reading segments throws
 */
export async function* readGlobals({
  storage,
  opened,
}: Pick<ChosenBackup, 'storage' | 'opened'>): AsyncGenerator<Buffer> {
  const reader = new BackupReader(storage, opened)
  const stream = reader.stream('globals')
  if (stream === undefined) {
    throw new BackupError(
      'BACKUP_NOT_FOUND',
      `The backup ${opened.manifest.run} holds no roles and tablespaces.`,
      {
        hint: 'Create the roles by hand, or restore without them: --without-owners',
      },
    )
  }
  yield* reader.read(stream)
}
