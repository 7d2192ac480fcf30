import { BackupReader, checkBackup, readBackup, setAside } from '@securyflex/shared/repository'
import { asBackupError } from '@securyflex/shared/errors'
import type { SegmentIndex } from '@securyflex/shared/segments'
import { storageOf } from './context.ts'
import type { StepCall, StepDefinition } from './step.ts'

/**
 * Reads back and opens what the run stored at one destination, and today's share of what it
 * referenced. What is bad is set aside, so that the next run stores it again.
 */
export const verifyStep: StepDefinition<'verify'> = {
  step: 'verify',
  async work(call) {
    const { payload, keys, signal, clock } = call
    const storage = storageOf(call, payload.destination)
    const opened = await readBackup(storage, payload.source, payload.run, keys)
    const predecessor = await predecessorIndex(call, opened.manifest.predecessor?.run)
    const reader = new BackupReader(storage, opened)
    return checkBackup(storage, reader, {
      predecessor,
      full: false,
      now: clock(),
      signal,
      onBad: (entry) => setAside(storage, payload.source, entry, clock()),
    })
  },
}

/** What the backup before named; if that one cannot be read, everything counts as new and is opened. */
async function predecessorIndex(
  call: StepCall<'verify'>,
  run: string | undefined,
): Promise<SegmentIndex | undefined> {
  if (run === undefined) return undefined
  const { payload, keys, logger } = call
  const storage = storageOf(call, payload.destination)
  try {
    return await new BackupReader(storage, await readBackup(storage, payload.source, run, keys)).index()
  } catch (error) {
    if (asBackupError(error).class === 'transient') throw error
    logger.warn('The backup before this one cannot be read, so every segment is opened.', { error })
    return undefined
  }
}
