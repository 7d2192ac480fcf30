import type { Config } from '@securyflex/shared/config'
import type { Request } from 'express'

/** Who asks, as runs and the list of actions name them. */
export function visitorOf({ dashboard: { user } }: Config, request: Request): string {
  const from = request.socket.remoteAddress ?? 'unknown'
  return `dashboard (${user === undefined ? from : `${user}, ${from}`})`
}
