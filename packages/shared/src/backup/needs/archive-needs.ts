import type { ArchiveFormat, ArchiveInput, Tools } from '@securyflex/shared/postgres'
import { definitionsOf } from './definitions.ts'
import { type Needs, needsOf } from './needs.ts'

/**
 * What an archive needs of a server. Its table of contents stands at its beginning, so that only that much of
 * `archive` is read.
 * @throws RESTORE_FAILED, or the error of `archive`
 */
export async function needsOfArchive(
  tools: Tools,
  archive: ArchiveInput,
  signal: AbortSignal,
  format: ArchiveFormat = 'custom',
): Promise<Needs> {
  return needsOf((await definitionsOf(tools, archive, signal, { format })).toString('utf8'))
}
