import { asBackupError, BackupError } from '@securyflex/shared/errors'
import type { ListEntry } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { layout } from './layout.ts'
import { remedy, sealedFacts } from './segment-store.ts'

/**
 * The error for a segment that did not open because another one of `entries` lies in its place; undefined if
 * it is none of them. Whole objects that were exchanged fail like altered ones, and mean something else.
 */
export async function findSwap(
  storage: Storage,
  source: string,
  entry: ListEntry,
  entries: AsyncIterable<ListEntry>,
): Promise<BackupError | undefined> {
  const name = layout.segment(source, entry.id)
  const sealed = await storage.get(name)
  if (sealed === undefined) return undefined
  const { sealedHash } = sealedFacts(sealed)
  try {
    for await (const other of entries) {
      if (other.id.equals(entry.id) || !other.sealedHash.equals(sealedHash)) continue
      return new BackupError(
        'SEGMENT_TAMPERED',
        `Segment ${name} was swapped: the bytes of ${other.id.toString('hex')} lie in its place.`,
        { hint: remedy(storage, source) },
      )
    }
  } catch (error) {
    // The lists are damaged too: then it stays with the first error.
    if (asBackupError(error).class === 'transient') throw error
  }
  return undefined
}
