import { vouchedIndex } from '@securyflex/shared/history'
import { BackupReader, checkBackup, readBackup, setAside } from '@securyflex/shared/repository'
import { storageOf } from './context.ts'
import type { StepDefinition } from './step.ts'
import { addSuccessor } from './successor.ts'

/**
 * Reads back and opens what the run stored at one destination, what no good backup before it vouches for, and today's
 * share of what it referenced. What is bad is set aside, so that the next run stores it again.
 */
export const verifyStep: StepDefinition<'verify'> = {
  step: 'verify',
  async work(call) {
    const { payload, keys, signal, clock } = call
    const storage = storageOf(call, payload.destination)
    const opened = await readBackup(storage, payload.source, payload.run, keys)
    const predecessor = await vouchedIndex(storage, keys, opened.manifest, (error) => {
      call.logger.warn('The backup before this one cannot be read, so every segment is opened.', { error })
    })
    const reader = new BackupReader(storage, opened)
    const checked = await checkBackup(storage, reader, {
      predecessor,
      full: false,
      now: clock(),
      signal,
      onWait(name) {
        call.logger.info(`Waits until the prune at ${storage.name} is over that left ${name}.`)
      },
      onBad: (entry) => setAside(storage, payload.source, entry, clock()),
    })
    await addSuccessor(call, 'prune')
    return checked
  },
}
