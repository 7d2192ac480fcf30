import { groupThatHides, memberName } from '@securyflex/shared/config'
import { asBackupError, BackupError, describe } from '@securyflex/shared/errors'
import { listDatabases } from '@securyflex/shared/postgres'
import type { Payloads } from '@securyflex/shared/queue'
import type { Job } from 'bullmq'
import type { WorkerContext } from './context.ts'
import type { Failure } from './failure.ts'

/** A run's request, and why it cannot be done where that is known already. */
export interface Named {
  readonly request: Payloads['run']
  readonly refused?: Failure
}

/**
 * The request with the database that is meant. Programs ask for a group's database by the name of its source; where that
 * shows only a hash, the server is asked which of its databases it is.
 */
export async function nameDatabase(
  { config }: WorkerContext,
  job: Job,
  request: Payloads['run'],
  signal: AbortSignal,
): Promise<Named> {
  const { source } = request
  const group = request.database === undefined ? groupThatHides(config, source) : undefined
  if (group === undefined) return { request }
  // Decided once: what has been told as failed is not begun when the server answers later.
  const before = refusalBefore(job)
  if (before !== undefined) return { request, refused: before }
  try {
    const { open } = await listDatabases(group.connection, signal)
    const database = open.find((one) => memberName(group.name, one) === source)
    if (database === undefined) {
      throw new BackupError('SOURCE_UNKNOWN', `${group.name} has no database that is called “${source}”.`, {
        hint: `See what it has with: npx --no securyflex-backup enqueue-job ${source}`,
      })
    }
    const named = { ...request, database }
    await job.updateData(named)
    return { request: named }
  } catch (error) {
    signal.throwIfAborted()
    const known = asBackupError(error)
    const refused = { code: known.code, reason: describe(known) }
    await job.updateProgress({ refused: { ...refused, generation: job.attemptsMade } })
    return { request, refused }
  }
}

/** Why an earlier wake of this generation refused the run. */
function refusalBefore({ progress, attemptsMade }: Job): Failure | undefined {
  if (typeof progress !== 'object' || !('refused' in progress)) return undefined
  const { generation, ...refused } = progress.refused as Failure & { readonly generation: number }
  return generation === attemptsMade ? refused : undefined
}
