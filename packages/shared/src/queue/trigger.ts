import { type Config, findGroup, groupThatHides, requireSource } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { z } from 'zod'
import { prefix } from './names.ts'
import { requestOptionsSchema } from './options.ts'
import { explain } from './payloads.ts'
import { requestRun, type Requested } from './request.ts'
import type { Queues } from './queues.ts'

/** Where programs ask for runs with nothing but a Redis client. */
export const triggerKey = `${prefix}:trigger`
/** Where they are answered. */
export const answersKey = `${prefix}:trigger:answers`

/** What a request for a run says, wherever it comes from; docs/queues.md. */
const triggerSchema = z.strictObject({
  source: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'a name has 1 to 64 letters, digits, “-” and “_”'),
  options: requestOptionsSchema.default({}),
})
export type Trigger = z.infer<typeof triggerSchema>

/** `value` as a request for a run. @throws PAYLOAD_INVALID, saying which field is wrong */
export function parseTrigger(value: unknown): Trigger {
  const parsed = triggerSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new BackupError('PAYLOAD_INVALID', `This is no request for a backup: ${explain(parsed.error)}.`, {
    hint: 'Write for example {"source": "shop", "options": {"compression": "zstd:3"}}; docs/queues.md has all options.',
    class: 'user',
  })
}

/** The fields of a stream's entry as a request: `source shop compression zstd:3 …`. @throws PAYLOAD_INVALID */
export function parseTriggerFields(fields: Readonly<Record<string, string>>): Trigger {
  const { source, ...options } = fields
  return parseTrigger({ source, options })
}

/**
 * Asks for the run that a trigger wants.
 * @param newId gives the run its id; the same trigger gets the same
 * @throws SOURCE_UNKNOWN, SOURCE_PAUSED
 */
export async function requestTriggered(
  queues: Queues,
  config: Config,
  trigger: Trigger,
  asked: {
    readonly by: string
    readonly at: Date
    readonly id: string
    readonly database?: string | undefined
  },
): Promise<Requested> {
  const { source, options } = trigger
  // The worker looks up which database such a name stands for.
  const hidden = asked.database === undefined ? groupThatHides(config, source) : undefined
  const { overlap } = findGroup(config, source) ?? hidden ?? requireSource(config, source, asked.database)
  return requestRun(
    queues,
    asked.id,
    {
      v: 1,
      source,
      database: asked.database,
      requestedBy: asked.by,
      requestedAt: asked.at.toISOString(),
      options,
    },
    { overlap },
  )
}
