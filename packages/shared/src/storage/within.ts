import { BackupError } from '@securyflex/shared/errors'
import type { Storage } from './storage.ts'

/**
 * What `work` makes of `storage`, which has `ms` for all of it: for small things that somebody waits for.
 * @throws STORAGE_UNREACHABLE after that; then nothing of it is under way any more
 */
export async function within<T>(
  ms: number,
  storage: Storage,
  work: (storage: Storage) => Promise<T>,
): Promise<T> {
  const limit = new AbortController()
  const timer = setTimeout(() => {
    limit.abort(tooSlow(storage, ms))
  }, ms)
  try {
    return await work(storage.until(limit.signal))
  } finally {
    clearTimeout(timer)
  }
}

function tooSlow({ shown }: Storage, ms: number): BackupError {
  return new BackupError(
    'STORAGE_UNREACHABLE',
    `${shown} did not answer within ${String(ms / 1000)} seconds.`,
    {
      hint: 'Check that it can be reached from here, and what it is busy with.',
    },
  )
}
