import type { Manifest } from '@securyflex/shared/repository'

/** The major version of the pg_dump that made a backup's archive; a pg_restore must be at least that. */
export function madeBy({ tool, server }: Pick<Manifest, 'tool' | 'server'>): number {
  return Number(/ (\d+)/.exec(tool)?.[1] ?? server.major)
}
