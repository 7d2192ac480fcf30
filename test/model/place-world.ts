import { layout, listRuns } from '@securyflex/shared/repository'
import type { History, Rot } from './history.ts'
import { type Good, hour, keyRecord, type ModelInstallation, source } from './installation.ts'
import { MemoryStorage } from './memory-storage.ts'

/** One place, what is known to have been stored there, and what must hold of it. */
export class PlaceWorld {
  readonly place: MemoryStorage
  /** Segments and documents that are not what was written: by rot, or by a write that was called done. */
  readonly bad = new Set<string>()
  readonly #history: History
  readonly #installation: ModelInstallation
  readonly #clock: () => number
  readonly #good = new Map<string, Good>()
  /** Good ones that are there no more, and may be. */
  readonly #gone = new Set<string>()
  readonly #kept = new Set<string>()
  /** Manifests that cannot be read for a while, as they were. */
  readonly #lost = new Map<string, { readonly body: Buffer; readonly modified: number }>()
  /** Of those that are bad, what no listing shows. */
  readonly #altered = new Set<string>()

  /**
   * @param clock that of the machines
   * @param ahead by how many minutes the place's own is ahead of it
   */
  constructor(
    name: string,
    history: History,
    installation: ModelInstallation,
    clock: () => number,
    ahead: number,
  ) {
    this.#history = history
    this.#installation = installation
    this.#clock = clock
    const own = () => clock() + ahead * 60_000
    this.place = new MemoryStorage(name, own, (key) => {
      // A scrub that may not remove what is bad empties it, which mends nothing.
      if (this.place.objects.get(key)?.body.length === 0) return
      this.bad.delete(key)
      this.#altered.delete(key)
    })
    if (!history.encrypted) return
    const { id, created } = keyRecord
    const repository = { format: 1, installation: id, created, key: id }
    void this.place.put(layout.repository, Buffer.from(JSON.stringify(repository)))
    void this.place.put(layout.key(id), Buffer.from(JSON.stringify(keyRecord)))
  }

  add(good: Good): void {
    this.#good.set(good.run, good)
    this.#gone.delete(good.run)
  }

  /** Of those that were reported good and should be there, the newest first. */
  get present(): readonly Good[] {
    return this.#newestFirst().filter(({ run }) => !this.#gone.has(run))
  }

  pick(which: number): Good | undefined {
    const { present } = this
    return present[which % Math.max(1, present.length)]
  }

  #newestFirst(): Good[] {
    return [...this.#good.values()].sort((a, b) => (a.run < b.run ? 1 : -1))
  }

  keep(run: string): void {
    this.#kept.add(run)
  }

  release(run: string): void {
    this.#kept.delete(run)
  }

  /** A write that was called done and is not. What is lost of a segment is as if it had never been stored. */
  hearLie(key: string, lie: 'lost' | 'cut off'): void {
    const isForgotten = key.includes('/sweeps/') || (lie === 'lost' && key.includes('/segments/'))
    if (!isForgotten) this.bad.add(key)
  }

  rot(which: number, how: Rot): void {
    const keys = [...this.place.objects.keys()].filter((key) => key.includes('/segments/'))
    const key = keys[which % Math.max(1, keys.length)]
    const held = this.place.objects.get(key ?? '')
    if (key === undefined || held === undefined) return
    this.bad.add(key)
    if (how === 'gone') this.place.objects.delete(key)
    else this.place.objects.set(key, { ...held, body: this.#damaged(key, held.body, keys, how) })
  }

  #damaged(key: string, body: Buffer, keys: readonly string[], how: Exclude<Rot, 'gone'>): Buffer {
    if (how === 'cut off') return body.subarray(0, -1)
    this.#altered.add(key)
    const other = this.place.objects.get(keys.find((one) => one !== key) ?? '')
    if (how === 'swapped' && other !== undefined) return other.body
    const altered = Buffer.from(body)
    const middle = body.length >> 1
    if (body.length > 0) altered.writeUInt8(altered.readUInt8(middle) ^ 1, middle)
    return altered
  }

  loseManifest(which: number): void {
    const good = this.pick(which)
    if (good === undefined) return
    const key = layout.manifest(source, good.run)
    const held = this.place.objects.get(key)
    if (held === undefined || this.#lost.has(key)) return
    this.#lost.set(key, held)
    this.place.objects.set(key, { ...held, body: held.body.subarray(0, held.body.length >> 1) })
  }

  /** Nobody prunes one that cannot be read, so all of them can be brought back. */
  mendManifests(): void {
    for (const [key, held] of this.#lost) this.place.objects.set(key, held)
    this.#lost.clear()
  }

  get isMissingManifests(): boolean {
    return this.#lost.size > 0
  }

  /** Sees what must hold after each deed. */
  async check(after: string): Promise<void> {
    const there = new Set(await listRuns(this.place, source))
    for (const good of this.present) {
      const { run } = good
      if (!there.has(run)) this.#judgeRemoval(good, there, after)
      else if (!this.isHurt(good)) {
        const missing = good.needs.find((id) => !this.place.objects.has(keyOf(id)))
        if (missing !== undefined) throw new Error(`after ${after}: ${run} lacks segment ${missing}`)
      }
    }
    const [newest] = this.present
    const [before] = this.#newestFirst()
    if (before !== undefined && newest !== before && !this.isForgiven(before.run))
      await this.#expectNewer(before, there, after)
  }

  #judgeRemoval({ run }: Good, there: ReadonlySet<string>, after: string): void {
    this.#gone.add(run)
    if (this.isForgiven(run)) return
    if (this.#kept.has(run)) throw new Error(`after ${after}: ${run} is kept, and gone`)
    const { days } = this.#history.retention
    const time = Temporal.Instant.from(run.replace(/^.*\.(\d{8})T(\d\d)(\d\d)(\d\d)Z.*$/, '$1T$2:$3:$4Z'))
    const age = this.#clock() - time.epochMilliseconds
    if (days !== undefined && age < days * 24 * hour) throw new Error(`after ${after}: ${run} went too young`)
    if (there.size === 0) throw new Error(`after ${after}: no backup is left`)
  }

  /** The newest good one may go only where a newer one stands for it: a whole one, as far as a listing shows. */
  async #expectNewer({ run }: Good, there: ReadonlySet<string>, after: string): Promise<void> {
    const newer = [...there].filter((one) => one > run)
    for (const one of newer) if (await this.#installation.reads(this.place, one)) return
    if (newer.length > 0 && this.bad.size > 0) return
    throw new Error(`after ${after}: ${run} was the newest good backup, and is gone`)
  }

  /** Whether a stranger, or the store, did something to what it needs. */
  isHurt({ needs }: Good): boolean {
    return needs.some((id) => this.bad.has(keyOf(id)))
  }

  /** Whether somebody else than the product lost its manifest. */
  isForgiven(run: string): boolean {
    return this.bad.has(layout.manifest(source, run))
  }

  /** Whether it gives back what it was made of. */
  async restores(good: Good): Promise<boolean> {
    return this.#installation.restores(this.place, good)
  }
}

export const keyOf = (id: string) => layout.segment(source, Buffer.from(id, 'hex'))
