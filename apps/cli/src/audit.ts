import type { Config } from '@securyflex/shared/config'
import { asBackupError } from '@securyflex/shared/errors'
import { type Action, recordAction } from '@securyflex/shared/queue'
import { asker } from './asker.ts'
import { note } from './output/print.ts'
import { withQueues } from './queues.ts'
import { findService } from './service/index.ts'

/**
 * Writes down who did what to a repository, where a service is known that keeps such a list. What was done is done:
 * a Redis that does not answer is told, and no error.
 */
export async function writeDown(config: Config, action: Omit<Action, 'by'>): Promise<void> {
  if (config.redis === undefined && (await findService(config)) === undefined) return
  try {
    await withQueues(config, (queues) => recordAction(queues.redis, { by: asker(), ...action }))
  } catch (error) {
    note(`This was not written into the list of who did what: ${asBackupError(error).message}`)
  }
}
