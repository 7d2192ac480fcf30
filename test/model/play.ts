import { BackupError } from '@securyflex/shared/errors'
import { layout } from '@securyflex/shared/repository'
import type { Storage } from '@securyflex/shared/storage'
import { faultyStorage, Killed } from './faulty-storage.ts'
import type { Alike, Beside, Deed, Edit, History, Place, To } from './history.ts'
import { type Database, hour, ModelInstallation, source } from './installation.ts'
import { keyOf, PlaceWorld } from './place-world.ts'
import { random, Turns } from './turns.ts'

/**
 * Does what a history tells and sees after each deed, at each of two places, that
 *
 * - every backup that was reported good gives back what was backed up, unless it was pruned by the rules, or its
 *   objects were damaged behind everybody's back;
 * - none was pruned that somebody keeps, that is younger than the rules say, or that is the newest good one;
 * - a backup that nothing troubles is good, also while prunes, scrubs and copies go on beside it;
 * - what was damaged is healed by a scrub of everything from the other place, or its backups are named;
 * - whoever gave a repository away is refused;
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

/** A process of a deed; `storages` are the two places as it sees them. */
type Process = (storages: readonly [Storage, Storage]) => Promise<void>

class World {
  readonly #installation: ModelInstallation
  readonly #places: readonly [PlaceWorld, PlaceWorld]
  #now = Date.parse('2026-03-20T01:00:00Z')
  #database: Database = [0, 1, 2, 3]
  /** Whether a prune removed a segment that a backup had stored again that very moment: the backup fails, and says so. */
  #raced = false
  /** Whether it may be that another installation has one of the places. */
  #isGivenAway = false

  constructor(history: History) {
    this.#installation = new ModelInstallation(
      history,
      () => new Date(this.#now),
      (ms) => {
        this.#now += ms
        return Promise.resolve()
      },
    )
    const place = (name: string, ahead: number) =>
      new PlaceWorld(name, history, this.#installation, () => this.#now, ahead)
    this.#places = [place('near', history.ahead[0]), place('far', history.ahead[1])]
  }

  async does(deed: Deed): Promise<void> {
    this.#now += 1000
    switch (deed.do) {
      case 'backup':
        return this.#together(deed.alike, this.#backUp(deed.to, deed.edits, deed.alike))
      case 'prune':
        return this.#together(deed.alike, [this.#prune(deed.at)])
      case 'both': {
        const beside = deed.beside.map((what) => this.#beside(what, deed.at, deed.alike))
        return this.#together(deed.alike, [...this.#backUp(deed.to, deed.edits, deed.alike), ...beside])
      }
      case 'keep':
      case 'release':
        return this.#together(deed.alike, [this.#say(deed.at, deed.which, deed.do)])
      case 'keep while pruning':
        return this.#together(deed.alike, [this.#say(deed.at, deed.which, 'keep'), this.#prune(deed.at)])
      case 'copy':
        return this.#together(deed.alike, [this.#copy(deed.at, deed.which)])
      case 'scrub':
        return this.#scrub(deed.at, deed.share, deed.alike)
      case 'adopt':
        return this.#adopt(deed.name, deed.alike)
      case 'wait':
        this.#now += deed.hours * hour
        return
      case 'rot':
        this.#places[deed.at].rot(deed.which, deed.how)
        return
      case 'lose manifest':
        this.#places[deed.at].loseManifest(deed.which)
        return
      case 'mend manifests':
        for (const place of this.#places) place.mendManifests()
    }
  }

  /** Lets processes work side by side, each with troubles of its own; the first may be killed. */
  async #together(
    { seed, faults, late, killedAfter, mayRemove }: Alike,
    processes: readonly Process[],
  ): Promise<void> {
    const chance = random(seed)
    const turns = new Turns(chance, late)
    this.#raced = false
    const raced = () => {
      this.#raced = true
    }
    const started = processes.map((process, index) => async () => {
      const trouble = { chance, faults, killedAfter: index === 0 ? killedAfter : undefined, mayRemove }
      const seen = (place: PlaceWorld) =>
        faultyStorage(place.place, turns, trouble, { lied: (key, lie) => place.hearLie(key, lie), raced })
      try {
        await process([seen(this.#places[0]), seen(this.#places[1])])
      } catch (error) {
        if (error instanceof Killed || (error instanceof BackupError && error.code !== 'INTERNAL')) return
        throw error
      }
    })
    await turns.run(started)
  }

  /** One run, which has its backup at several places. */
  #backUp(to: To, edits: readonly Edit[], { hours, faults, killedAfter }: Alike): Process[] {
    const database = [...this.#database]
    for (const { at, becomes } of edits) database[at % (database.length + 1)] = becomes
    this.#database = database
    const run = this.#installation.newRun()
    const pause = () => {
      this.#now += (hours * hour) / 3 / to.length
      return Promise.resolve()
    }
    const isUntroubled = faults === 0 && killedAfter === undefined && hours < 48 && !this.#isGivenAway
    return to.map((at) => {
      const place = this.#places[at]
      const untroubled = isUntroubled && place.bad.size === 0
      return async (storages) => {
        const good = await this.#installation.backUp(storages[at], run, database, pause)
        if (good !== undefined) place.add(good)
        else if (untroubled && !this.#raced) throw new Error('a backup failed that nothing troubled')
      }
    })
  }

  #beside(what: Beside, at: Place, { seed }: Alike): Process {
    if (what === 'prune') return this.#prune(at)
    if (what === 'copy') return this.#copy(at, seed)
    return async (storages) => {
      await this.#installation.scrub(storages[at], [storages[1 - at] as Storage], 1)
    }
  }

  #prune(at: Place): Process {
    return (storages) => this.#installation.prune(storages[at])
  }

  #copy(at: Place, which: number): Process {
    const [to, from] = [this.#places[at], this.#places[at === 0 ? 1 : 0]]
    const good = from.pick(which)
    return async (storages) => {
      if (good === undefined) return
      if (await this.#installation.copy(storages[at === 0 ? 1 : 0], storages[at], good.run))
        to.add({ ...good, needs: await this.#installation.needs(to.place, good.run) })
    }
  }

  #say(at: Place, which: number, action: 'keep' | 'release'): Process {
    const place = this.#places[at]
    return async (storages) => {
      const good = place.pick(which)
      if (good === undefined) return
      // Until it is said whether it is released, it may be.
      if (action === 'release') place.release(good.run)
      if (await this.#installation.say(storages[at], good.run, action)) {
        if (action === 'keep') place.keep(good.run)
      }
    }
  }

  /** Of everything, and with nothing in its way, it leaves nothing bad that is not told. */
  async #scrub(at: Place, share: number, alike: Alike): Promise<void> {
    const [here, there] = [this.#places[at], this.#places[at === 0 ? 1 : 0]]
    const bad = here.present.filter((good) => here.isHurt(good))
    const elsewhere = new Set([...there.place.objects.keys()].filter((key) => !there.bad.has(key)))
    let isDone = false as boolean
    await this.#together(alike, [
      async (storages) => {
        await this.#installation.scrub(storages[at], [storages[at === 0 ? 1 : 0]], share)
        isDone = true
      },
    ])
    const { faults, mayRemove } = alike
    if (!isDone || share < 1 || faults > 0 || !mayRemove || here.isMissingManifests) return
    const told = await this.#installation.unhealed(here.place)
    for (const good of bad) {
      if (here.isForgiven(good.run)) continue
      const canHeal = good.needs.every((id) => !here.bad.has(keyOf(id)) || elsewhere.has(keyOf(id)))
      if (await here.restores(good).catch(() => false)) continue
      if (canHeal) throw new Error(`after scrub: ${good.run} was not healed, and could be`)
      if (!told.has(good.run)) throw new Error(`after scrub: ${good.run} is bad, and nobody is told`)
    }
  }

  /** Both places are given to an installation of that name; whoever had them is refused. */
  async #adopt(name: string, alike: Alike): Promise<void> {
    const before = this.#installation.name
    let isDone = false as boolean
    await this.#together(alike, [
      async (storages) => {
        for (const storage of storages) await this.#installation.adopt(storage, name)
        isDone = true
      },
    ])
    this.#isGivenAway = !isDone
    this.#installation.name = name
    if (!isDone || before === name) return
    this.#installation.name = before
    for (const { place } of this.#places) {
      const held = place.objects.size
      const code = await this.#installation.prune(place).then(
        () => undefined,
        (error: unknown) => (error instanceof BackupError ? error.code : error),
      )
      if (code !== 'OTHER_INSTALLATION' || place.objects.size !== held)
        throw new Error(`after adopt: ${before ?? 'the one without a name'} may prune ${place.name} still`)
    }
    this.#installation.name = name
  }

  async check(after: string): Promise<void> {
    for (const place of this.#places) await place.check(after)
  }

  /**
   * When all troubles are over and somebody has removed by hand what cannot be read: everything goes that nobody
   * names, all good backups are restored, and the next one is good.
   */
  async end(): Promise<void> {
    for (const place of this.#places) place.mendManifests()
    await this.check('mending')
    if (this.#isGivenAway && this.#installation.name !== undefined)
      for (const { place } of this.#places)
        await this.#installation.adopt(place, this.#installation.name).catch(isNoRepository)
    for (const world of this.#places) {
      for (const good of world.present) {
        if (world.isHurt(good) || world.isForgiven(good.run)) continue
        if (!(await world.restores(good))) throw new Error(`${good.run} gives back something else`)
      }
      await this.#expectGoodSoon(world)
      await this.#expectTidy(world)
    }
  }

  /** The next backup is good; where objects rot, the one after those that found and mended it. */
  async #expectGoodSoon(world: PlaceWorld): Promise<void> {
    for (let attempts = world.bad.size; attempts >= 0; attempts--) {
      this.#now += hour
      const pause = () => Promise.resolve()
      const run = this.#installation.newRun()
      const last = await this.#installation.backUp(world.place, run, this.#database, pause)
      if (last === undefined) continue
      if (world.isHurt(last) || (await world.restores(last))) return
      throw new Error('in the end the next backup gives back something else')
    }
    throw new Error('in the end no backup is good')
  }

  async #expectTidy({ place }: PlaceWorld): Promise<void> {
    for (const run of await this.#installation.unreadable(place))
      await place.delete(layout.manifest(source, run))
    for (let prunes = 0; prunes < 2; prunes++) {
      this.#now += 8 * 24 * hour
      await this.#installation.prune(place)
    }
    const { refused } = await this.#installation.plan(place)
    if (refused !== undefined) throw new Error(`in the end nothing can be pruned: ${refused}`)
    const needed = await this.#installation.needed(place)
    for (const key of place.objects.keys()) {
      if (key.includes('/sweeps/') || (key.includes('/segments/') && !needed.has(key)))
        throw new Error(`in the end ${key} is left, and nobody names it`)
    }
  }
}

/** A place where nothing was stored yet needs not be adopted. */
function isNoRepository(error: unknown): void {
  if (!(error instanceof BackupError) || error.code !== 'BACKUP_NOT_FOUND') throw error
}
