import { BackupError } from '@securyflex/shared/errors'
import { prefix, type Queues } from '@securyflex/shared/queue'
import type { Spool } from '@securyflex/shared/spool'

const key = `${prefix}:spool`
/** Seconds for which a spool counts after its last worker was seen. */
const lasts = 60
/** Between two renewals, in ms. */
const interval = 20_000

/**
 * Makes sure that all workers share one spool, and keeps saying so: a step of a run must find what the step
 * before it, perhaps on another worker, left there. Once no worker has been seen for a minute, another may be used.
 * @returns how to stop
 * @throws SPOOL_UNUSABLE
 */
export async function claimSpool(redis: Queues['redis'], spool: Spool): Promise<() => void> {
  await redis.set(key, spool.id, 'EX', lasts, 'NX')
  const claimed = await redis.get(key)
  if (claimed !== null && claimed !== spool.id) {
    throw new BackupError(
      'SPOOL_UNUSABLE',
      `This worker’s spool (${spool.id}) is not the other workers’ (${claimed}).`,
      {
        hint: 'Give all workers one volume as BACKUP_SPOOL_DIR; after moving it, stop them all for a minute.',
      },
    )
  }
  const timer = setInterval(() => {
    // Without Redis nobody serves; the claim is renewed when it answers again.
    redis.set(key, spool.id, 'EX', lasts).catch(() => undefined)
  }, interval)
  return () => {
    clearInterval(timer)
  }
}
