import type { Config } from '@securyflex/shared/config'

export interface BackupOptions {
  /** Name of the source; the first one without it. */
  readonly source?: string | undefined
  /** One JSON document on standard output instead of a story. */
  readonly json?: boolean | undefined
}

/**
 * Makes one backup and follows it to its end, bringing Redis and a worker where none serve.
 * @returns the exit status: 0 success, 8 failed, 9 degraded, 130 cancelled
 */
export async function runBackup(_config: Config, _options: BackupOptions = {}): Promise<number> {
  return Promise.reject(new Error('not there yet'))
}
