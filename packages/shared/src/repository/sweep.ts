import type { KeyRing } from '@securyflex/shared/keys'
import { SegmentIndex } from '@securyflex/shared/segments'
import type { Storage, StoredObject } from '@securyflex/shared/storage'
import { findBackup, findBackups, listRuns } from './backups.ts'
import { Condemnation } from './condemned.ts'
import { inParallel } from './in-parallel.ts'
import { keepOf, layout, segmentIdOf } from './layout.ts'
import { addNamed } from './named.ts'
import type { Removal } from './removal.ts'
import { gracePeriod } from './segment-store.ts'

/** Of a prune, what its sweep needs. */
interface SweepOptions {
  readonly storage: Storage
  readonly source: string
  readonly keys: KeyRing
  readonly now: Date
  readonly signal: AbortSignal
  /** Told of each segment that is removed. */
  readonly passed?: (place: 'segment') => Promise<void>
}

/** What a sweep removed, and why it left what no backup names. */
export interface Swept {
  readonly segments: number
  readonly bytes: number
  readonly unswept: string | undefined
}
export const nothingSwept: Swept = { segments: 0, bytes: 0, unswept: undefined }

/** Segments that are looked at and removed at a time: enough to hide latency. */
const parallel = 8
/** Segments that are condemned at a time: as many as a page of a listing. */
const atOnce = 1000

/**
 * Removes unnamed segments, and words about backups that are gone. What is named is read from the store again, after
 * the manifests went.
 * @param staying backups that must be there still: a listing without one of them is not to be believed
 */
export async function sweep(
  options: SweepOptions,
  staying: ReadonlySet<string>,
  removal: Removal,
): Promise<Swept> {
  const { storage, source, keys, signal } = options
  const oldest = (await storage.now()).getTime() - gracePeriod
  const isYoung = ({ modified }: StoredObject) => modified.getTime() > oldest
  if (!(await hasOld(options, isYoung))) return nothingSwept
  const sweeping = new Sweeping(options, removal)
  const missing = new Set(staying)
  for await (const backup of findBackups(storage, source, keys)) {
    missing.delete(backup.run)
    const problem = await sweeping.spare(backup)
    if (problem !== undefined) return { ...nothingSwept, unswept: problem }
  }
  const [gone] = missing
  if (gone !== undefined)
    return { ...nothingSwept, unswept: `${gone} is there no more, and nobody here removed it` }
  await Condemnation.forgetOld(storage, source, removal)
  for await (const object of storage.list(layout.segments(source))) {
    signal.throwIfAborted()
    if (!isYoung(object)) await sweeping.take(object, isYoung)
    if (sweeping.isOver) break
  }
  await sweeping.removeTaken(isYoung)
  await forgetWords(options, removal, isYoung)
  return sweeping.done
}

/** Whether anything is old enough to go: where nothing is, what backups name need not be read, which is all of them. */
async function hasOld(
  { storage, source }: SweepOptions,
  isYoung: (object: StoredObject) => boolean,
): Promise<boolean> {
  // What an earlier sweep said goes after an hour already.
  for await (const _ of storage.list(layout.sweeps(source))) return true
  for (const prefix of [layout.segments(source), layout.keeps(source)]) {
    for await (const object of storage.list(prefix)) if (!isYoung(object)) return true
  }
  return false
}

class Sweeping {
  readonly #options: SweepOptions
  readonly #removal: Removal
  readonly #named = new SegmentIndex()
  /** Backups whose segments are in it. */
  readonly #spared = new Set<string>()
  #taken: { readonly id: Buffer; readonly object: StoredObject }[] = []
  #segments = 0
  #bytes = 0
  #unswept: string | undefined

  constructor(options: SweepOptions, removal: Removal) {
    this.#options = options
    this.#removal = removal
  }

  get done(): Swept {
    return { segments: this.#segments, bytes: this.#bytes, unswept: this.#unswept }
  }

  /** Whether nothing more may be removed. */
  get isOver(): boolean {
    return this.#unswept !== undefined || this.#removal.denied !== undefined
  }

  /** Leaves what a backup names. @returns why that cannot be known: one that cannot be read may name anything */
  async spare(backup: Parameters<typeof addNamed>[1]): Promise<string | undefined> {
    this.#spared.add(backup.run)
    return addNamed(this.#options.storage, backup, this.#named)
  }

  /** An old segment, which goes unless it is named. */
  async take(object: StoredObject, isYoung: (object: StoredObject) => boolean): Promise<void> {
    const id = segmentIdOf(object.key)
    if (id === undefined || this.#named.has(id)) return
    this.#taken.push({ id, object })
    if (this.#taken.length >= atOnce) await this.removeTaken(isYoung)
  }

  /**
   * Says what goes, spares what backups name that were sealed until then, looks at each age once more, and removes. A
   * backup that is sealed later finds what was said, and waits: see {@link Condemnation}.
   */
  async removeTaken(isYoung: (object: StoredObject) => boolean): Promise<void> {
    const taken = this.#taken
    this.#taken = []
    if (taken.length === 0 || this.isOver) return
    const { storage, source, signal, passed } = this.#options
    const ids = taken.map(({ id }) => id)
    const condemnation = await Condemnation.say(storage, source, ids, this.#options.now)
    await this.#spareNew()
    if (this.#unswept !== undefined) return condemnation.takeBack(this.#removal)
    await inParallel(taken, parallel, async ({ id, object }) => {
      signal.throwIfAborted()
      if (this.isOver || this.#named.has(id)) return
      const again = await storage.stat(object.key)
      if (again === undefined || isYoung(again) || condemnation.isLate) return
      if (!(await this.#removal.remove(object))) return
      this.#segments += 1
      this.#bytes += object.size
      await passed?.('segment')
    })
    await condemnation.takeBack(this.#removal)
  }

  async #spareNew(): Promise<void> {
    const { storage, source, keys } = this.#options
    for (const run of await listRuns(storage, source)) {
      if (this.#spared.has(run) || this.#unswept !== undefined) continue
      this.#unswept = await this.spare(await findBackup(storage, source, run, keys))
    }
  }
}

/** Removes old words of `keep` about backups that are there no more. */
async function forgetWords(
  { storage, source }: SweepOptions,
  removal: Removal,
  isYoung: (object: StoredObject) => boolean,
): Promise<void> {
  const runs = new Set(await listRuns(storage, source))
  for await (const object of storage.list(layout.keeps(source))) {
    const about = keepOf(object.key)
    if (about === undefined || runs.has(about.run) || isYoung(object)) continue
    await removal.remove(object)
  }
}
