import type { BackupError } from '@securyflex/shared/errors'
import type { StepCall } from './step.ts'

/** A batch that cannot be made ready is lost for every destination: the dump need not go on. */
export async function dropAll(
  call: StepCall<'compress'> | StepCall<'encrypt'>,
  error: BackupError,
): Promise<void> {
  const { run, attempt: token } = call.payload
  const attempt = call.spool.run(run).attempt(token)
  const facts = await attempt.facts()
  for (const destination of facts?.destinations ?? []) await attempt.drop(destination, error.message)
}
