import type { AfterHook } from '@bull-board/api/typings/app'
import { redact } from '@securyflex/shared/errors'

/** Names by which the board finds things again. They hold no secret, and are of no use when altered. */
const addresses = new Set([
  'id',
  'key',
  'name',
  'queueName',
  'jobId',
  'nextRunJobId',
  'lastRunJobId',
  'nodeId',
])

/**
 * Takes known secrets out of all that the board answers: data, results, reasons, stack traces, logs. None
 * should be in there; Bull Board's own formatters would cover data and results only.
 */
export const redactAnswer: AfterHook = (_context, answer) => ({
  ...answer,
  body: withoutSecrets(answer.body) as typeof answer.body,
})

function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return redact(value)
  if (Array.isArray(value)) return value.map(withoutSecrets)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  return Object.fromEntries(
    entries.map(([key, part]) => [key, addresses.has(key) ? part : withoutSecrets(part)]),
  )
}
