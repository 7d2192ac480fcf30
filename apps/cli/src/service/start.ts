import type { Config } from '@securyflex/shared/config'

/** Runs the whole service in this terminal until SIGINT or SIGTERM. @returns the exit status */
export async function startService(_config: Config): Promise<number> {
  return Promise.reject(new Error('not there yet'))
}
