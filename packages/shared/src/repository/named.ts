import { BackupError } from '@securyflex/shared/errors'
import type { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import type { FoundBackup } from './backups.ts'
import { BackupReader } from './reading.ts'

/**
 * Adds everything that a backup names.
 * @returns why that cannot be known
 */
export async function addNamed(
  storage: Storage,
  { run, opened, problem }: FoundBackup,
  named: SegmentIndex,
): Promise<string | undefined> {
  if (opened === undefined) return `the manifest of ${run} cannot be read: ${problem.message}`
  try {
    for (const entry of await new BackupReader(storage, opened).index()) named.add(entry)
    return undefined
  } catch (error) {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
    return `what ${run} needs cannot be known: ${error.message}`
  }
}
