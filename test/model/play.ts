import { BackupError } from '@securyflex/shared/errors'
import { layout, listRuns } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { faultyStorage, Killed } from './faulty-storage.ts'
import type { Alike, Deed, Edit, History, Rot } from './history.ts'
import { type Database, type Good, hour, keyRecord, ModelInstallation, source } from './installation.ts'
import { MemoryStorage } from './memory-storage.ts'
import { random, Turns } from './turns.ts'

/**
 * Does what a history tells and sees after each deed that
 *
 * - every backup that was reported good gives back what was backed up, unless it was pruned by the rules, or its
 *   objects were damaged behind everybody's back;
 * - none was pruned that somebody keeps, that is younger than the rules say, or that is the newest good one;
 * - a backup that nothing troubles is good, also while prunes go on beside it;
 * - in the end the next backup is good, and everything goes that no manifest names.
 * @throws with what is wrong
 */
export async function play(history: History): Promise<void> {
  const world = new World(history)
  for (const deed of history.deeds) {
    await world.does(deed)
    await world.check(deed.do)
  }
  await world.end()
}

class World {
  readonly #history: History
  readonly #place: MemoryStorage
  readonly #installation: ModelInstallation
  #now = Date.parse('2026-03-20T01:00:00Z')
  #database: Database = [0, 1, 2, 3]
  readonly #good: Good[] = []
  /** Good ones that are there no more, and may be. */
  readonly #gone = new Set<string>()
  readonly #kept = new Set<string>()
  /** Objects that are not what was written: by rot, or by a write that was called done. */
  readonly #bad = new Set<string>()

  /** Whether a prune removed a segment that a backup had stored again that very moment: the backup fails, and says so. */
  #raced = false
  /** Manifests that cannot be read for a while, as they were. */
  readonly #lost = new Map<string, { readonly body: Buffer; readonly modified: number }>()

  constructor(history: History) {
    this.#history = history
    this.#place = new MemoryStorage(
      'memory',
      () => this.#now,
      (key) => this.#bad.delete(key),
    )
    this.#installation = new ModelInstallation(
      history,
      () => new Date(this.#now),
      (ms) => {
        this.#now += ms
        return Promise.resolve()
      },
    )
    if (!history.encrypted) return
    const repository = {
      format: 1,
      installation: keyRecord.id,
      created: keyRecord.created,
      key: keyRecord.id,
    }
    void this.#place.put(layout.repository, Buffer.from(JSON.stringify(repository)))
    void this.#place.put(layout.key(keyRecord.id), Buffer.from(JSON.stringify(keyRecord)))
  }

  async does(deed: Deed): Promise<void> {
    this.#now += 1000
    switch (deed.do) {
      case 'backup':
        return this.#together(deed.alike, [this.#backUp(deed.edits, deed.alike)])
      case 'prune':
        return this.#together(deed.alike, [this.#prune()])
      case 'both': {
        const prunes = Array.from({ length: deed.prunes }, () => this.#prune())
        return this.#together(deed.alike, [this.#backUp(deed.edits, deed.alike), ...prunes])
      }
      case 'keep':
      case 'release':
        return this.#together(deed.alike, [this.#say(deed.which, deed.do)])
      case 'keep while pruning':
        return this.#together(deed.alike, [this.#say(deed.which, 'keep'), this.#prune()])
      case 'wait':
        this.#now += deed.hours * hour
        return
      case 'rot':
        this.#rot(deed.which, deed.how)
        return
      case 'lose manifest':
        this.#loseManifest(deed.which)
        return
      case 'mend manifests':
        this.#mendManifests()
    }
  }

  /** Lets processes work side by side, each with troubles of its own; the first may be killed. */
  async #together(
    { seed, faults, late, killedAfter }: Alike,
    processes: readonly ((storage: Storage) => Promise<void>)[],
  ): Promise<void> {
    const chance = random(seed)
    const turns = new Turns(chance, late)
    this.#raced = false
    const raced = () => {
      this.#raced = true
    }
    const started = processes.map((process, index) => async () => {
      const trouble = { chance, faults, killedAfter: index === 0 ? killedAfter : undefined }
      const lied = (key: string, lie: 'lost' | 'cut off') => {
        const isForgotten = key.includes('/sweeps/') || (lie === 'lost' && key.includes('/segments/'))
        if (!isForgotten) this.#bad.add(key)
      }
      try {
        await process(faultyStorage(this.#place, turns, trouble, { lied, raced }))
      } catch (error) {
        if (error instanceof Killed || (error instanceof BackupError && error.code !== 'INTERNAL')) return
        throw error
      }
    })
    await turns.run(started)
  }

  #backUp(edits: readonly Edit[], { hours, faults, killedAfter }: Alike) {
    return async (storage: Storage) => {
      const untroubled = faults === 0 && killedAfter === undefined && this.#bad.size === 0 && hours < 48
      const database = [...this.#database]
      for (const { at, becomes } of edits) database[at % (database.length + 1)] = becomes
      this.#database = database
      const pause = () => {
        this.#now += (hours * hour) / 3
        return Promise.resolve()
      }
      const good = await this.#installation.backUp(storage, database, pause)
      if (good !== undefined) this.#good.push(good)
      else if (untroubled && !this.#raced) throw new Error('a backup failed that nothing troubled')
    }
  }

  #prune() {
    return (storage: Storage) => this.#installation.prune(storage)
  }

  #say(which: number, action: 'keep' | 'release') {
    return async (storage: Storage) => {
      const good = this.#present(which)
      if (good === undefined) return
      // Until it is said whether it is released, it may be.
      if (action === 'release') this.#kept.delete(good.run)
      if (await this.#installation.say(storage, good.run, action)) {
        if (action === 'keep') this.#kept.add(good.run)
      }
    }
  }

  #rot(which: number, how: Rot): void {
    const keys = [...this.#place.objects.keys()].filter((key) => key.includes('/segments/')).sort()
    const key = keys[which % Math.max(1, keys.length)]
    const held = this.#place.objects.get(key ?? '')
    if (key === undefined || held === undefined) return
    this.#bad.add(key)
    if (how === 'gone') this.#place.objects.delete(key)
    else if (how === 'cut off') this.#place.objects.set(key, { ...held, body: held.body.subarray(0, -1) })
    else {
      const body = Buffer.from(held.body)
      body.writeUInt8(body.readUInt8(body.length >> 1) ^ 1, body.length >> 1)
      this.#place.objects.set(key, { ...held, body })
    }
  }

  #present(which: number): Good | undefined {
    const present = this.#good.filter(({ run }) => !this.#gone.has(run))
    return present[which % Math.max(1, present.length)]
  }

  #loseManifest(which: number): void {
    const good = this.#present(which)
    if (good === undefined) return
    const key = layout.manifest(source, good.run)
    const held = this.#place.objects.get(key)
    if (held === undefined || this.#lost.has(key)) return
    this.#lost.set(key, held)
    this.#place.objects.set(key, { ...held, body: held.body.subarray(0, held.body.length >> 1) })
  }

  /** Unless it was pruned meanwhile, which nobody does to one that cannot be read, it is as it was. */
  #mendManifests(): void {
    for (const [key, held] of this.#lost) this.#place.objects.set(key, held)
    this.#lost.clear()
  }

  /** Sees what must hold after each deed. */
  async check(after: string): Promise<void> {
    const there = new Set(await listRuns(this.#place, source))
    for (const good of this.#good) {
      const { run } = good
      if (this.#gone.has(run)) continue
      if (!there.has(run)) this.#judgeRemoval(good, there, after)
      else if (!this.#isHurt(good)) {
        const missing = good.needs.find((id) => !this.#place.objects.has(keyOf(id)))
        if (missing !== undefined) throw new Error(`after ${after}: ${run} lacks segment ${missing}`)
      }
    }
    const newest = this.#good.filter(({ run }) => !this.#gone.has(run)).at(-1)
    const before = this.#good.at(-1)
    if (before !== undefined && newest !== before && !this.#isForgiven(before.run)) {
      await this.#expectNewer(before, there, after)
    }
  }

  #judgeRemoval({ run }: Good, there: ReadonlySet<string>, after: string): void {
    if (!this.#isForgiven(run)) {
      if (this.#kept.has(run)) throw new Error(`after ${after}: ${run} is kept, and gone`)
      const { days } = this.#history.retention
      const time = Temporal.Instant.from(run.replace(/^.*\.(\d{8})T(\d\d)(\d\d)(\d\d)Z.*$/, '$1T$2:$3:$4Z'))
      const age = this.#now - time.epochMilliseconds
      if (days !== undefined && age < days * 24 * hour)
        throw new Error(`after ${after}: ${run} went too young`)
      if (there.size === 0) throw new Error(`after ${after}: no backup is left`)
    }
    this.#gone.add(run)
  }

  /** The newest good one may go only where a newer one stands for it. */
  async #expectNewer({ run }: Good, there: ReadonlySet<string>, after: string): Promise<void> {
    const newer = [...there].filter((one) => one > run)
    for (const one of newer) {
      if (await this.#installation.reads(this.#place, one)) return
    }
    if (newer.length > 0 && this.#bad.size > 0) return
    throw new Error(`after ${after}: ${run} was the newest good backup, and is gone`)
  }

  #isHurt({ needs }: Good): boolean {
    return needs.some((id) => this.#bad.has(keyOf(id)))
  }

  /** Whether somebody else than the product lost its manifest. */
  #isForgiven(run: string): boolean {
    return this.#bad.has(layout.manifest(source, run))
  }

  /**
   * When all troubles are over and somebody has removed by hand what cannot be read: everything goes that nobody
   * names, all good backups are restored, and the next one is good.
   */
  async end(): Promise<void> {
    const place = this.#place
    this.#mendManifests()
    await this.check('mending')
    for (const good of this.#good) {
      if (this.#gone.has(good.run) || this.#isHurt(good) || this.#isForgiven(good.run)) continue
      if (!(await this.#installation.restores(place, good)))
        throw new Error(`${good.run} gives back something else`)
    }
    await this.#expectGoodSoon()
    for (const run of await this.#installation.unreadable(place))
      await place.delete(layout.manifest(source, run))
    for (let prunes = 0; prunes < 2; prunes++) {
      this.#now += 8 * 24 * hour
      await this.#installation.prune(place)
    }
    const { refused } = await this.#installation.plan(place)
    if (refused !== undefined) throw new Error(`in the end nothing can be pruned: ${refused}`)
    const named = await this.#installation.named(place)
    for (const key of place.objects.keys()) {
      if (key.includes('/sweeps/') || (key.includes('/segments/') && !named.has(key)))
        throw new Error(`in the end ${key} is left, and nobody names it`)
    }
  }

  /** The next backup is good; where objects rot, the one after those that found and mended it. */
  async #expectGoodSoon(): Promise<void> {
    const place = this.#place
    for (let attempts = this.#bad.size; attempts >= 0; attempts--) {
      this.#now += hour
      const last = await this.#installation.backUp(place, this.#database, () => Promise.resolve())
      if (last === undefined) continue
      if (this.#isHurt(last) || (await this.#installation.restores(place, last))) return
      throw new Error('in the end the next backup gives back something else')
    }
    throw new Error('in the end no backup is good')
  }
}

const keyOf = (id: string) => layout.segment(source, Buffer.from(id, 'hex'))
