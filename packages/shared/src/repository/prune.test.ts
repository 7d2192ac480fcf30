import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { Cipher, Retention } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import type { Storage } from '@securyflex/shared/storage'
import {
  indexOf,
  keyRing,
  noKeys,
  source,
  testRepository,
  type TestRepository,
} from '../../../../test/helpers/repository.ts'
import {
  BackupReader,
  checkBackup,
  encodeDocument,
  layout,
  listRuns,
  makePrunePlan,
  newRunId,
  prune,
  type PruneOptions,
  readBackup,
  weighPrune,
} from './index.ts'

const day = 24 * 60 * 60 * 1000
let repository: TestRepository

const begin = async (cipher: Cipher = 'aes-256-gcm') => {
  repository = await testRepository(cipher)
}
beforeEach(() => begin())
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
})

const ago = (days: number) => new Date(Date.now() - days * day)
const backUp = (days: number, archive = randomBytes(50_000)) =>
  repository
    .backUp({ run: newRunId(source, ago(days)), streams: { archive }, sealedAt: ago(days) })
    .then(({ manifest }) => manifest.run)

const retention = (rules: Partial<Retention>): Retention => ({
  days: undefined,
  last: undefined,
  daily: undefined,
  weekly: undefined,
  monthly: undefined,
  yearly: undefined,
  minimum: 1,
  ...rules,
})
const options = (changes: Partial<PruneOptions> = {}): PruneOptions => ({
  storage: repository.storage,
  source,
  keys: repository.keys,
  installation: undefined,
  acceptChecksums: repository.secret === undefined,
  retention: retention({ days: 30 }),
  timeZone: 'Europe/Amsterdam',
  unsound: () => Promise.resolve(new Set()),
  now: new Date(),
  signal: new AbortController().signal,
  ...changes,
})

const segmentPaths = async () => {
  const root = join(repository.directory, source, 'segments')
  return (await readdir(root, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
/** As if all that is stored had been stored so long ago. */
const age = async (days: number) => {
  for (const path of await segmentPaths()) await utimes(path, ago(days), ago(days))
}
const readable = async (run: string) => {
  const opened = await readBackup(repository.storage, source, run, repository.keys)
  const reader = new BackupReader(repository.storage, opened)
  for (const stream of opened.manifest.streams) await reader.readAll(stream)
}

describe.each<Cipher>(['aes-256-gcm', 'none'])('pruning what was written with %s', (cipher) => {
  it('removes old backups and the segments that only they named, and leaves the others whole', async () => {
    await repository[Symbol.asyncDispose]()
    await begin(cipher)
    const shared = randomBytes(2_000_000)
    const old = [await backUp(90, shared), await backUp(60)]
    const kept = [await backUp(20, shared), await backUp(1)]
    const named = await Promise.all(
      kept.map(async (run) =>
        indexOf(repository.storage, await readBackup(repository.storage, source, run, repository.keys)),
      ),
    )
    await age(8)
    const pruned = await prune(options())
    expect(pruned.backups).toBe(2)
    expect(
      pruned.plan.decisions
        .filter(({ keep }) => !keep)
        .map(({ run }) => run)
        .sort(),
    ).toEqual(old.sort())
    expect(await listRuns(repository.storage, source)).toEqual(kept.sort().reverse())
    for (const run of kept) await readable(run)
    const left = new Set(named.flatMap((index) => [...index].map(({ id }) => id.toString('hex'))))
    expect((await segmentPaths()).map((path) => path.slice(-64)).sort()).toEqual([...left].sort())
    expect(await prune(options())).toMatchObject({ backups: 0, segments: 0 })
  })
})

describe('pruning', () => {
  it('keeps the last good backup whatever its age, and as many as asked for', async () => {
    const runs = [await backUp(400), await backUp(300), await backUp(200)]
    await age(100)
    expect((await prune(options({ retention: retention({ days: 30, minimum: 2 }) }))).backups).toBe(1)
    expect((await prune(options({ retention: retention({ days: 30, minimum: 0 }) }))).backups).toBe(1)
    expect((await prune(options({ retention: retention({ days: 30, minimum: 0 }) }))).backups).toBe(0)
    expect(await listRuns(repository.storage, source)).toEqual([runs[2]])
    await readable(runs[2] ?? '')
  })

  it('removes a manifest before any segment of its backup', async () => {
    await backUp(60)
    await backUp(1)
    await age(8)
    const deleted: string[] = []
    const storage: Storage = {
      ...repository.storage,
      delete: (key) => {
        deleted.push(key)
        return repository.storage.delete(key)
      },
    }
    await prune(options({ storage }))
    expect(deleted[0]).toMatch(/^shop\/backups\//)
    expect(deleted.slice(1, -1).every((key) => key.startsWith('shop/segments/'))).toBe(true)
    expect(deleted.length).toBeGreaterThan(3)
    // The word that they go.
    expect(deleted.at(-1)).toMatch(/^shop\/sweeps\//)
  })

  it('removes what a killed writer left unfinished, once it is a day old', async () => {
    await backUp(1)
    const [old, young] = ['.tmp-0123456789ab', '.tmp-ba9876543210'].map((mark) =>
      join(repository.directory, source, 'segments', `half${mark}`),
    )
    for (const path of [old, young]) await writeFile(path ?? '', 'half')
    await utimes(old ?? '', ago(1.1), ago(1.1))
    await prune(options())
    expect((await segmentPaths()).filter((path) => path.includes('.tmp-'))).toEqual([young])
  })

  it('leaves young segments that no manifest names: a run may be about to', async () => {
    await backUp(60)
    await backUp(1)
    await age(6.9)
    expect(await prune(options())).toMatchObject({ backups: 1, segments: 0 })
    await age(7.1)
    expect((await prune(options())).segments).toBeGreaterThan(0)
  })

  it('looks at an object’s age once more just before it is deleted', async () => {
    await backUp(60)
    await backUp(1)
    await age(8)
    const before = await segmentPaths()
    // A run stores each of them again between the listing and the removal.
    const storage: Storage = {
      ...repository.storage,
      stat: async (key) => {
        await utimes(join(repository.directory, key), new Date(), new Date())
        return repository.storage.stat(key)
      },
    }
    expect(await prune(options({ storage }))).toMatchObject({ backups: 1, segments: 0 })
    expect(await segmentPaths()).toEqual(before)
  })

  it('removes nothing while one manifest cannot be read, also when that happens after the plan', async () => {
    const runs = [await backUp(90), await backUp(60), await backUp(1)]
    await age(8)
    const before = await segmentPaths()
    const path = repository.pathOf({ run: runs[1] ?? '' })
    const whole = await repository.storage.get(layout.manifest(source, runs[1] ?? ''))
    await writeFile(path, '{"format":1')
    const pruned = await prune(options())
    expect(pruned).toMatchObject({ backups: 0, segments: 0 })
    expect(pruned.plan.refused).toContain(runs[1])
    expect(await listRuns(repository.storage, source)).toHaveLength(3)

    await writeFile(path, whole ?? '')
    let reads = 0
    const storage: Storage = {
      ...repository.storage,
      get: async (key) => {
        if (key !== layout.manifest(source, runs[2] ?? '')) return repository.storage.get(key)
        reads += 1
        return reads === 1 ? repository.storage.get(key) : Buffer.from('damaged meanwhile')
      },
    }
    expect(await prune(options({ storage }))).toMatchObject({ backups: 2, segments: 0 })
    expect(await segmentPaths()).toEqual(before)
  })

  it('removes nothing while a backup is dated in the future', async () => {
    await backUp(90)
    await backUp(60)
    const future = await backUp(-2)
    await age(8)
    const before = await segmentPaths()
    const pruned = await prune(options())
    expect(pruned.plan.refused).toContain(future)
    expect(await segmentPaths()).toEqual(before)
    expect(await listRuns(repository.storage, source)).toHaveLength(3)
  })

  it('never counts a forged backup as the last good one, and does not remove it', async () => {
    const good = await backUp(90)
    const forged = newRunId(source, ago(60))
    const { manifest } = await readBackup(repository.storage, source, good, repository.keys)
    const name = layout.manifest(source, forged)
    await repository.storage.put(
      name,
      encodeDocument(name, { ...manifest, run: forged, key: null, streams: [] }, undefined),
    )
    await age(8)
    expect(await prune(options())).toMatchObject({ backups: 0 })
    expect(await listRuns(repository.storage, source)).toEqual([forged, good])
    await readable(good)
  })

  it('sweeps nothing while the list of a backup that stays cannot be read', async () => {
    await backUp(60)
    const kept = await readBackup(repository.storage, source, await backUp(2), repository.keys)
    await backUp(1)
    await age(8)
    const list = Buffer.from(kept.manifest.streams[0]?.list[0]?.id ?? '', 'hex')
    await writeFile(repository.pathOf({ segment: list }), 'damaged')
    const before = await segmentPaths()
    const pruned = await prune(options())
    expect(pruned).toMatchObject({ backups: 1, segments: 0 })
    expect(pruned.unswept).toMatch(
      new RegExp(`^what ${kept.manifest.run} needs cannot be known: Segment .* is cut off`),
    )
    expect((await weighPrune(options(), pruned.plan)).unswept).toBe(pruned.unswept)
    expect(await segmentPaths()).toEqual(before)
  })

  it('leaves what it does not know: other names, other sources, other files among segments', async () => {
    await backUp(60)
    await backUp(1)
    const strange = [
      'shop/segments/ab/notes',
      `shop/segments/ab/${'0'.repeat(64)}`,
      `shop/segments/00/${'0'.repeat(64)}.old`,
      `shop/proofs/shop.20261123T020000Z.0000.x.json`,
      `other/segments/00/${'0'.repeat(64)}`,
      'servers/x/wal',
    ]
    for (const key of strange) {
      await repository.storage.put(key, Buffer.from('x'))
      await utimes(join(repository.directory, key), ago(400), ago(400))
    }
    await prune(options())
    for (const key of strange) expect(await repository.storage.stat(key)).toBeDefined()
  })

  it('sweeps what a run left that was never sealed, once it is old enough', async () => {
    await backUp(1)
    const orphan = layout.segment(source, randomBytes(32))
    await repository.storage.put(orphan, Buffer.from('x'))
    expect((await prune(options())).segments).toBe(0)
    await utimes(join(repository.directory, orphan), ago(8), ago(8))
    expect((await prune(options())).segments).toBe(1)
    expect(await repository.storage.stat(orphan)).toBeUndefined()
  })

  it('refuses a repository of another installation, and without the key removes nothing', async () => {
    await backUp(60)
    await backUp(1)
    await expect(prune(options({ keys: keyRing() }))).rejects.toMatchObject({ code: 'OTHER_INSTALLATION' })
    await expect(prune(options({ installation: 'work' }))).rejects.toMatchObject({
      code: 'OTHER_INSTALLATION',
    })
    const pruned = await prune(options({ keys: noKeys() }))
    expect(pruned).toMatchObject({ backups: 0, segments: 0 })
    expect(pruned.plan.refused).toBeDefined()
    expect(await listRuns(repository.storage, source)).toHaveLength(2)
  })

  it('weighs what it would free, each segment once, and frees that', async () => {
    const shared = randomBytes(900_000)
    const old = [await backUp(90, shared), await backUp(60, shared), await backUp(50)]
    await backUp(1)
    await age(8)
    const plan = await makePrunePlan(options())
    const weight = await weighPrune(options(), plan)
    // What two share goes with the newer of them.
    expect(weight.backups.get(old[0] ?? '')).toBeLessThan(20_000)
    expect(weight.backups.get(old[1] ?? '')).toBeGreaterThan(900_000)
    expect([...weight.backups.values()].reduce((sum, bytes) => sum + bytes, 0)).toBe(weight.now)
    expect(weight).toMatchObject({ later: 0, unswept: undefined })
    expect(await prune(options())).toMatchObject({ backups: 3, bytes: weight.now })
    expect(await weighPrune(options(), await makePrunePlan(options()))).toMatchObject({ now: 0, later: 0 })
  })

  it('removes no more than was agreed to', async () => {
    const runs = [await backUp(90), await backUp(60), await backUp(1)]
    expect(await prune(options(), new Set([runs[1] ?? '']))).toMatchObject({ backups: 1 })
    expect(await listRuns(repository.storage, source)).toEqual([runs[2], runs[0]])
  })

  it('counts by the reports which backups are good', async () => {
    const [good, bad] = [await backUp(90), await backUp(60)]
    await age(8)
    const unsound = () => Promise.resolve(new Set([bad]))
    expect(await prune(options({ unsound }))).toMatchObject({ backups: 0 })
    await readable(good)
    expect(await prune(options())).toMatchObject({ backups: 1 })
  })

  it('does not sweep when a listing lacks a backup that was there a moment ago', async () => {
    await backUp(60)
    const kept = await backUp(1)
    await age(8)
    const before = await segmentPaths()
    let listings = 0
    const storage: Storage = {
      ...repository.storage,
      async *list(prefix) {
        if (prefix === layout.backups(source)) listings += 1
        for await (const object of repository.storage.list(prefix)) {
          if (listings < 2 || !object.key.includes(`backups/${kept}`)) yield object
        }
      },
    }
    const pruned = await prune(options({ storage }))
    expect(pruned.unswept).toBe(`${kept} is there no more, and nobody here removed it`)
    expect(await segmentPaths()).toEqual(before)
  })

  it('only reads while it makes its plan', async () => {
    await backUp(60)
    await backUp(1)
    await age(8)
    const before = await segmentPaths()
    const plan = await makePrunePlan(options())
    expect(plan.decisions.map(({ keep }) => keep)).toEqual([true, false])
    expect(await listRuns(repository.storage, source)).toHaveLength(2)
    expect(await segmentPaths()).toEqual(before)
  })

  it('stops between two removals when it is told to', async () => {
    const runs = [await backUp(90), await backUp(60), await backUp(1)]
    const stop = new AbortController()
    const storage: Storage = {
      ...repository.storage,
      delete: async (key) => {
        await repository.storage.delete(key)
        stop.abort(new Error('cancelled'))
      },
    }
    await expect(prune(options({ storage, signal: stop.signal }))).rejects.toThrow('cancelled')
    expect(await listRuns(repository.storage, source)).toHaveLength(2)
    await readable(runs[2] ?? '')
  })
})

/** A store that does not remove the objects whose keys these are. */
function refusing(
  code: 'STORAGE_LOCKED' | 'STORAGE_REFUSED',
  keys: (key: string) => boolean,
): Storage & { readonly asked: readonly string[] } {
  const { storage } = repository
  const asked: string[] = []
  return {
    ...storage,
    asked,
    delete: (key) => {
      asked.push(key)
      return keys(key) ? Promise.reject(new BackupError(code, 'It is not removed.')) : storage.delete(key)
    },
  }
}

describe('a backup that nobody can restore', () => {
  it('is not the one for which older ones are given up', async () => {
    const [older, old] = [await backUp(90), await backUp(60)]
    const newest = await backUp(1)
    const paths = new Set(await segmentPaths())
    for (const run of [older, old]) {
      const opened = await readBackup(repository.storage, source, run, repository.keys)
      for (const { id } of await indexOf(repository.storage, opened))
        paths.delete(repository.pathOf({ segment: id }))
    }
    const [lost = ''] = paths
    const bytes = await readFile(lost)
    await rm(lost)
    const { decisions } = await makePrunePlan(options())
    expect(decisions.map(({ run, keep }) => [run, keep])).toEqual([
      [newest, true],
      [old, true],
      [older, false],
    ])
    await writeFile(lost, bytes)
    expect(await prune(options())).toMatchObject({ backups: 2 })
  })
})

describe('a segment that a backup stores again while a prune removes it', () => {
  const archive = randomBytes(50_000)
  const check = async (run: string, wait: (ms: number) => Promise<unknown>) => {
    const opened = await readBackup(repository.storage, source, run, repository.keys)
    return checkBackup(repository.storage, new BackupReader(repository.storage, opened), {
      predecessor: undefined,
      full: true,
      now: new Date(),
      signal: new AbortController().signal,
      wait,
    })
  }

  it('is missed by that backup before it is called good', async () => {
    await repository[Symbol.asyncDispose]()
    // Then the lists are alike, too.
    await begin('none')
    await backUp(90, archive)
    await backUp(1)
    await age(8)
    const { storage } = repository
    const removed = Promise.withResolvers<undefined>()
    let waits = 0
    let checked: Promise<unknown> = Promise.resolve()
    let isFirst = true
    // The last look at the segment is over, and its removal is late.
    const late: Storage = {
      ...storage,
      delete: async (key) => {
        if (key.includes('/segments/') && isFirst) {
          isFirst = false
          const run = await backUp(0, archive)
          const waiting = Promise.withResolvers<undefined>()
          checked = check(run, async () => {
            waits += 1
            waiting.resolve(undefined)
            await removed.promise
          })
          checked.catch(() => undefined)
          await waiting.promise
        }
        await storage.delete(key)
      },
    }
    await prune(options({ storage: late }))
    removed.resolve(undefined)
    expect(waits).toBe(1)
    await expect(checked).rejects.toMatchObject({ code: 'SEGMENT_MISSING' })
    expect(await readdir(join(repository.directory, source, 'sweeps'))).toEqual([])
  })

  it('stays where the backup was sealed before it was said what goes', async () => {
    await backUp(90, archive)
    await backUp(1)
    await age(8)
    const { storage } = repository
    let run: string | undefined
    const sealing: Storage = {
      ...storage,
      putIfAbsent: async (key, body) => {
        if (key.includes('/sweeps/')) run ??= await backUp(0, archive)
        return storage.putIfAbsent(key, body)
      },
    }
    await prune(options({ storage: sealing }))
    await check(run ?? '', () => Promise.reject(new Error('nothing goes that it names')))
  })

  it('is not waited for where whoever removes it was killed an hour ago', async () => {
    const run = await backUp(90, archive)
    await backUp(1)
    const name = join(repository.directory, source, 'sweeps', '1.json')
    await mkdir(dirname(name))
    await writeFile(name, 'cut off')
    const waited = () => Promise.reject(new Error('waited'))
    await expect(check(run, waited)).rejects.toThrow('waited')
    // Nor where what is there is of a time to come.
    for (const days of [1.1 / 24, -200]) {
      await utimes(name, ago(days), ago(days))
      await check(run, waited)
    }
    await prune(options())
    expect(await readdir(dirname(name))).toEqual([])
  })

  it('is waited for no longer than any removal takes, and what says otherwise is named', async () => {
    const run = await backUp(90, archive)
    const name = join(repository.directory, source, 'sweeps', '1.json')
    await mkdir(dirname(name))
    await writeFile(name, 'cut off')
    let waited = 0
    const wait = (ms: number) => Promise.resolve((waited += ms))
    await expect(check(run, wait)).rejects.toMatchObject({
      code: 'STALLED',
      message: expect.stringContaining('shop/sweeps/1.json'),
    })
    expect(waited).toBeLessThan(3 * 60 * 60 * 1000)
  })

  it('stays where the store does not keep the word that it goes', async () => {
    await backUp(90, archive)
    await backUp(1)
    await age(8)
    const before = await segmentPaths()
    const forgetful: Storage = {
      ...repository.storage,
      putIfAbsent: (key, body) =>
        key.includes('/sweeps/') ? Promise.resolve(true) : repository.storage.putIfAbsent(key, body),
    }
    await expect(prune(options({ storage: forgetful }))).rejects.toMatchObject({
      code: 'STORAGE_UNREACHABLE',
    })
    expect(await segmentPaths()).toEqual(before)
  })
})

describe('pruning where objects are locked', () => {
  it('leaves them, counts them, goes on with the others, and takes them when the locks have run out', async () => {
    const runs = [await backUp(90), await backUp(60), await backUp(1)]
    await age(8)
    const locked = refusing('STORAGE_LOCKED', (key) => key.includes(runs[0] ?? ''))
    expect(await prune(options({ storage: locked }))).toMatchObject({
      backups: 1,
      locked: 1,
      denied: undefined,
    })
    // A backup whose manifest is locked stays whole.
    expect(await listRuns(repository.storage, source)).toEqual([runs[2], runs[0]])
    await readable(runs[0] ?? '')
    expect(await prune(options())).toMatchObject({ backups: 1, locked: 0 })
  })

  it('removes the other segments where some are locked', async () => {
    await backUp(90)
    await backUp(60)
    const kept = await backUp(1)
    await age(8)
    const [first] = await segmentPaths()
    const all = (await segmentPaths()).length
    const storage = refusing('STORAGE_LOCKED', (key) => key.endsWith((first ?? '').slice(-64)))
    const pruned = await prune(options({ storage }))
    const left = await segmentPaths()
    expect(pruned.segments + left.length).toBe(all)
    await readable(kept)
    const again = await prune(options())
    expect(again).toMatchObject({ segments: pruned.locked, locked: 0 })
  })
})

describe('pruning with credentials that may not remove', () => {
  it('says so, asks once, and leaves everything as it was', async () => {
    const runs = [await backUp(90), await backUp(60), await backUp(1)]
    await age(8)
    const before = await segmentPaths()
    const storage = refusing('STORAGE_REFUSED', () => true)
    const pruned = await prune(options({ storage }))
    expect(pruned).toMatchObject({ backups: 0, segments: 0, locked: 0, denied: 'It is not removed.' })
    expect(storage.asked).toHaveLength(1)
    expect(await segmentPaths()).toEqual(before)
    expect(await listRuns(repository.storage, source)).toHaveLength(runs.length)
  })
})

describe('a prune that is killed', () => {
  const places = ['planned', 'manifest', 'manifests', 'segment', 'segments'] as const

  it.each(places)(
    'at “%s” leaves every backup whole that is there, and the next one does the rest',
    async (at) => {
      const shared = randomBytes(100_000)
      for (const days of [90, 60, 50]) await backUp(days, shared)
      const kept = [await backUp(20, Buffer.concat([shared, randomBytes(9)])), await backUp(1)]
      await age(8)
      const killed = prune(
        options({
          passed: (place) => (place === at ? Promise.reject(new Error('killed')) : Promise.resolve()),
        }),
      )
      await expect(killed).rejects.toThrow('killed')
      for (const run of await listRuns(repository.storage, source)) await readable(run)
      await prune(options())
      expect(await listRuns(repository.storage, source)).toEqual(kept.reverse())
      for (const run of kept) await readable(run)
      expect(await prune(options())).toMatchObject({ backups: 0, segments: 0 })
    },
  )

  it('before any of its calls leaves every backup whole that is there', async () => {
    for (let calls = 0; ; calls++) {
      await repository[Symbol.asyncDispose]()
      await begin()
      const shared = randomBytes(5_000)
      await backUp(90, shared)
      await backUp(60, shared)
      const kept = await backUp(1)
      await age(8)
      let left = calls
      const { storage } = repository
      const call = () => {
        if (left-- <= 0) throw new Error('killed')
        return storage
      }
      const dying: Storage = {
        name: storage.name,
        shown: storage.shown,
        put: (...args) => call().put(...args),
        putIfAbsent: (...args) => call().putIfAbsent(...args),
        get: (...args) => call().get(...args),
        stat: (...args) => call().stat(...args),
        list: (...args) => call().list(...args),
        delete: (...args) => call().delete(...args),
        removeUnfinished: (...args) => call().removeUnfinished(...args),
        now: () => call().now(),
        until: () => dying,
      }
      const ended = await prune(options({ storage: dying })).then(
        () => true,
        () => false,
      )
      for (const run of await listRuns(repository.storage, source)) await readable(run)
      await readable(kept)
      if (ended) return
    }
  })
})
