import type { Config } from '@securyflex/shared/config'
import { parseTrigger, type Queues, type Requested, requestTriggered } from '@securyflex/shared/queue'
import { newRunId } from '@securyflex/shared/repository'
import { asker } from './asker.ts'
import type { Wanted } from './wanted.ts'

/** Asks for a run as whoever types the command. @throws SOURCE_UNKNOWN, SOURCE_PAUSED */
export async function askForRun(
  config: Config,
  queues: Queues,
  { name, database }: Wanted,
): Promise<Requested> {
  const now = new Date()
  const trigger = parseTrigger({ source: name, options: config.requested })
  return requestTriggered(queues, config, trigger, {
    by: asker(),
    at: now,
    id: newRunId(name, now),
    database,
  })
}
