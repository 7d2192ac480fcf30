import { BackupError } from '@securyflex/shared/errors'
import { prefix, type Queues } from '@securyflex/shared/queue'
import type { Spool } from '@securyflex/shared/spool'

const key = `${prefix}:spool`
/** Seconds for which a spool counts after its last worker was seen. */
const lasts = 60
/** Claims for a spool, or renews the claim, unless another one has it. KEYS: claim. ARGV: spool, seconds. Gives whose it is. */
const claim = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
`

/**
 * Makes sure that all workers share one spool, and keeps saying so: a step of a run must find what the step
 * before it, perhaps on another worker, left there. Once no worker has been seen for a minute, another may be used.
 * @param lost called if another spool was claimed meanwhile: then Redis has been away, or has lost this claim
 * @param interval ms between two renewals
 * @returns how to stop
 * @throws SPOOL_UNUSABLE
 */
export async function claimSpool(
  redis: Queues['redis'],
  spool: Spool,
  lost: (error: BackupError) => void,
  interval = 20_000,
): Promise<() => void> {
  const renew = async () => {
    const holder = await redis.eval(claim, 1, key, spool.id, lasts)
    if (holder !== spool.id) throw notShared(spool.id, String(holder))
  }
  await renew()
  const timer = setInterval(() => {
    renew().catch((error: unknown) => {
      // Without Redis nobody serves; the claim is renewed when it answers again.
      if (error instanceof BackupError) lost(error)
    })
  }, interval)
  return () => {
    clearInterval(timer)
  }
}

function notShared(ours: string, theirs: string): BackupError {
  return new BackupError(
    'SPOOL_UNUSABLE',
    `This worker’s spool (${ours}) is not the other workers’ (${theirs}).`,
    {
      hint: 'Give all workers one volume as BACKUP_SPOOL_DIR; after moving it, stop them all for a minute.',
    },
  )
}
