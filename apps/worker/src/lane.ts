import type { BackupError } from '@securyflex/shared/errors'
import type { ListEntry } from '@securyflex/shared/segments'
import { unlessDamaged } from '@securyflex/shared/spool'
import { failureText } from './failure.ts'
import type { Place } from './place.ts'
import type { StepCall } from './step.ts'

/** A batch that cannot be made ready is lost for every destination: the dump need not go on. */
export async function dropAll(
  call: StepCall<'compress'> | StepCall<'encrypt'>,
  error: BackupError,
): Promise<void> {
  const { run, attempt: token } = call.payload
  const attempt = call.spool.run(run).attempt(token)
  const facts = await unlessDamaged(attempt.facts())
  for (const destination of facts?.destinations ?? []) await attempt.drop(destination, failureText(error))
}

/** Records what the destination has of a batch, and frees the batch's room once all are through with it. */
export async function release(place: Place, destination: string, entries: ListEntry[]): Promise<void> {
  if ((await place.batch.state()) === 'gone') return
  await place.batch.markDone(destination, entries)
  await place.batch.freeIfDone(place.facts.destinations)
}
