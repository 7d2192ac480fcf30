import { BackupError } from '@securyflex/shared/errors'
import { discard, type ListEntry } from '@securyflex/shared/segments'
import type { Storage } from '@securyflex/shared/storage'
import { setAside } from './aside.ts'
import type { Elsewhere } from './elsewhere.ts'
import { layout } from './layout.ts'
import type { Opener } from './opener.ts'

/** What became of a segment that was missing or bad. */
export type Fate =
  /** It came from another destination, and was read back. */
  | { readonly outcome: 'healed'; readonly from: string }
  /** No other destination has it whole: it is out of the way, and the next run stores it again if it still can. */
  | { readonly outcome: 'aside' }
  /** It is not there, and no other destination has it whole. */
  | { readonly outcome: 'missing' }
  /** It lies as it was: the store refused, or nothing was to be changed. */
  | { readonly outcome: 'stays'; readonly why: string }
  /** By then it was whole again: somebody stored it meanwhile. */
  | { readonly outcome: 'whole' }

/** Mends the segments of a source at one place. */
export interface Mending {
  readonly storage: Storage
  readonly source: string
  readonly opener: Opener
  readonly elsewhere: Elsewhere
  readonly now: Date
}

/**
 * Brings a segment from another destination, or sets it aside. It is replaced in one step, so that no reader misses it
 * meanwhile, and nothing needs to be deleted.
 * @param wanted false for one of no backup: that is only set aside
 * @throws what may pass; what the store refuses is told
 */
export async function mend(
  mending: Mending,
  id: Buffer,
  named: ListEntry | undefined,
  wanted: boolean,
): Promise<Fate> {
  const { storage, source, opener, elsewhere, now } = mending
  const name = layout.segment(source, id)
  try {
    const there = await storage.get(name)
    if (there !== undefined && (await opener.judge(id, there, named)) === 'good') return { outcome: 'whole' }
    const found = wanted ? await elsewhere.find(id) : undefined
    if (found !== undefined) {
      if (there !== undefined && there.length > 0) await storage.put(layout.aside(source, id, now), there)
      await storage.put(name, found.sealed)
      if (await isWhole(mending, id)) return { outcome: 'healed', from: found.from }
      return { outcome: 'stays', why: `${storage.shown} did not keep what ${found.from} has` }
    }
    if (there === undefined) return { outcome: 'missing' }
    discard(there)
    await setAside(storage, source, { id }, now)
    return { outcome: 'aside' }
  } catch (error) {
    if (!(error instanceof BackupError) || error.class === 'transient') throw error
    return { outcome: 'stays', why: error.message }
  }
}

/** Reads back what was stored. */
async function isWhole({ storage, source, opener }: Mending, id: Buffer): Promise<boolean> {
  const sealed = await storage.get(layout.segment(source, id))
  return sealed !== undefined && (await opener.judge(id, sealed, undefined)) === 'good'
}
