import { removeAbandonedArchives, unfinishedRestores } from '@securyflex/shared/backup'
import type { Config, Connection } from '@securyflex/shared/config'
import { join } from 'node:path'
import { note } from './output/print.ts'
import { size } from './output/written.ts'
import { serverOf } from './targets.ts'

/** Where archives are written out for several jobs. */
export function archivesOf({ spool }: Config): string {
  return join(spool.directory, 'restores')
}

/**
 * Removes the plain archives that killed restores left on this machine, and names the databases that they left on the
 * server. Those are a person's to drop: what is half restored may be all that there is.
 */
export async function noteKilledRestores(
  config: Config,
  target: Connection,
  signal: AbortSignal,
): Promise<void> {
  await removeAbandonedArchives(archivesOf(config))
  for (const { name, bytes, drop } of await unfinishedRestores(target, signal)) {
    const holds = bytes === undefined ? '' : `, ${size(bytes)},`
    note(
      `A restore that was killed left the database "${name}"${holds} on ${serverOf(target)}. Nobody needs it? ${drop}`,
    )
  }
}
