import { isDeepStrictEqual } from 'node:util'
import type { Config, RequestedOptions, SourceSettings } from './config.ts'

/**
 * What of the variables that were set goes with a request for a run of a source, to a worker that may have been started
 * with others: only what holds for that source. A line of its own in the file has the last word.
 */
export function optionsToAsk(
  { requested }: Pick<Config, 'requested'>,
  settings: SourceSettings,
): RequestedOptions {
  const { compression, cipher, fingerprint, retention } = settings
  const own: Record<keyof RequestedOptions, unknown> = { compression, cipher, fingerprint, retentionDays: retention.days }
  const names = Object.keys(requested) as (keyof RequestedOptions)[]
  const holding = names.filter((name) => isDeepStrictEqual(requested[name], own[name]))
  return Object.fromEntries(holding.map((name) => [name, requested[name]]))
}
