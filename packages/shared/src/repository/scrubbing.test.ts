import { readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { Cipher } from '@securyflex/shared/config'
import { BackupError } from '@securyflex/shared/errors'
import { openStorage, type Storage } from '@securyflex/shared/storage'
import {
  content,
  indexOf,
  keyRing,
  noKeys,
  source,
  testRepository,
  type TestRepository,
} from '../../../../test/helpers/repository.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../../test/helpers/temporary-directory.ts'
import { writeScrubRecord } from './scrub-record.ts'
import {
  BackupReader,
  copyBackup,
  encodeDocument,
  layout,
  prune,
  readBackup,
  readScrubRecord,
  scrub,
  type ScrubOptions,
  unhealedRuns,
} from './index.ts'

const now = new Date()
const signal = new AbortController().signal
const [monday, tuesday] = ['shop.20261123T020000Z.0001', 'shop.20261124T020000Z.0002'] as const
let repository: TestRepository
let directory: TemporaryDirectory
let far: Storage

async function begin(cipher: Cipher = 'aes-256-gcm') {
  repository = await testRepository(cipher)
  directory = await temporaryDirectory()
  far = await openStorage({ kind: 'local', name: 'far', directory: directory.path })
}

beforeEach(() => begin())
afterEach(async () => {
  await repository[Symbol.asyncDispose]()
  await directory.remove()
})

/** A scrub of all at `local`, which may heal from `far`. */
const scrubbed = (more: Partial<ScrubOptions> = {}) =>
  scrub({
    ...{ storage: repository.storage, others: [far], source, keys: repository.keys },
    ...{ installation: undefined, share: 1, now, signal },
    ...more,
  })

const record = (storage = repository.storage) => readScrubRecord(storage, source, repository.keys)

async function backUp(run: string, archive: Buffer): Promise<Buffer[]> {
  const opened = await repository.backUp({ run, streams: { archive } })
  await copyBackup({
    ...{ from: repository.storage, to: far, source, run, keys: repository.keys },
    ...{ installation: undefined, now, signal },
  })
  return [...(await indexOf(repository.storage, opened))].map(({ id }) => id)
}

async function restored(storage: Storage, run: string): Promise<Buffer> {
  const reader = new BackupReader(storage, await readBackup(storage, source, run, repository.keys))
  const stream = reader.stream('archive')
  if (stream === undefined) throw new Error('no archive')
  return reader.readAll(stream)
}

/** Six backups of one small segment each, and these segments. */
async function sixBackups() {
  const runs = Array.from({ length: 6 }, (_, day) => `shop.2026110${String(day + 1)}T020000Z.0001`)
  const archives = runs.map(() => content(1).subarray(0, 300_000))
  const ids: Buffer[] = []
  for (const [at, run] of runs.entries()) {
    // The list of segments comes first, and its only entry then.
    const [, id] = await backUp(run, archives[at] as Buffer)
    ids.push(id as Buffer)
  }
  return { runs, archives, ids, spoilt: runs.slice(0, 5).reverse() }
}

const pathOf = (id: Buffer) => repository.pathOf({ segment: id })

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path)
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] ?? 0) ^ 1
  await writeFile(path, bytes)
}

/** One deleted, one cut off, one altered, one replaced by another's bytes, one under another's name. */
async function spoil(ids: readonly Buffer[]): Promise<void> {
  const [deleted, cut, altered, replaced, renamed, whole] = ids.map(pathOf) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ]
  await rm(deleted)
  await truncate(cut, 1000)
  await flip(altered)
  await writeFile(replaced, await readFile(whole))
  await rename(renamed, `${renamed.slice(0, -4)}0000`)
}

describe('a scrub', () => {
  it.each<Cipher>(['aes-256-gcm', 'aes-256-cbc', 'none'])(
    'heals all that was done to segments from another destination, with the cipher %s',
    async (cipher) => {
      await begin(cipher)
      const { runs, archives, ids, spoilt } = await sixBackups()
      await spoil(ids)
      const found = await scrubbed()
      const ofBackups = found.findings.filter(({ backups }) => backups > 0)
      // What is replaced by less looks cut off.
      const whats = ofBackups.map(({ what }) => what).sort()
      expect(whats.filter((what) => what === 'missing')).toHaveLength(2)
      expect(whats).toEqual(expect.arrayContaining(['altered', 'truncated']))
      expect(whats).toHaveLength(5)
      expect(
        ofBackups
          .flatMap(({ runs }) => runs)
          .sort()
          .reverse(),
      ).toEqual(spoilt)
      expect(new Set(ofBackups.map(({ fate }) => JSON.stringify(fate)))).toEqual(
        new Set([JSON.stringify({ outcome: 'healed', from: 'far' })]),
      )
      // What lay under another's name is of no backup.
      const stray = found.findings.filter(({ backups }) => backups === 0)
      expect(stray).toMatchObject([{ what: 'altered', fate: { outcome: 'aside' } }])
      expect(found).toMatchObject({ touched: spoilt, unhealed: [], shards: 256 })
      await directory.remove()
      for (const [at, run] of runs.entries()) {
        expect((await restored(repository.storage, run)).equals(archives[at] as Buffer)).toBe(true)
      }
      expect(await scrubbed()).toMatchObject({ findings: [], opened: 12 })
    },
  )

  it('sets aside what nobody has, and names the backups; the next run stores it, and the next scrub is content', async () => {
    const archive = content(12)
    const [, first, second] = (await backUp(monday, archive)) as [Buffer, Buffer, Buffer]
    await flip(pathOf(first))
    await rm(pathOf(second))
    for (const id of [first, second]) await rm(`${directory.path}/${layout.segment(source, id)}`)
    const found = await scrubbed()
    expect(found.unhealed).toEqual([monday])
    expect(found.findings.map(({ fate }) => fate.outcome).sort()).toEqual(['aside', 'missing'])
    expect([...(await record()).unhealed.values()].flat()).toContain(monday)
    expect(await unhealedRuns(repository.storage, source, repository.keys)).toEqual(new Set([monday]))
    const aside = await Array.fromAsync(repository.storage.list(`${source}/aside/`))
    expect(aside).toHaveLength(1)
    await expect(restored(repository.storage, monday)).rejects.toMatchObject({ code: 'SEGMENT_MISSING' })
    await backUp(tuesday, archive)
    for (const run of [monday, tuesday]) {
      expect((await restored(repository.storage, run)).equals(archive)).toBe(true)
    }
    expect(await scrubbed({ share: 1 / 256 })).toMatchObject({ findings: [], unhealed: [] })
    expect((await record()).unhealed.size).toBe(0)
    expect(await unhealedRuns(repository.storage, source, repository.keys)).toEqual(new Set())
  })

  it('looks again, each time, at what it could not heal, and heals it once another destination has it', async () => {
    const archive = content(10)
    const ids = await backUp(monday, archive)
    await flip(pathOf(ids[0] as Buffer))
    expect(await scrubbed({ others: [] })).toMatchObject({ unhealed: [monday] })
    expect(await scrubbed({ share: 1 / 256, others: [] })).toMatchObject({
      findings: [{ what: 'missing', runs: [monday] }],
      unhealed: [monday],
    })
    expect(await scrubbed({ share: 1 / 256 })).toMatchObject({
      findings: [{ what: 'missing', fate: { outcome: 'healed', from: 'far' } }],
      unhealed: [],
    })
    expect((await restored(repository.storage, monday)).equals(archive)).toBe(true)
  })

  it('reads each segment back exactly once in a whole cycle, those longest unchecked first', async () => {
    const ids = new Set<string>()
    for (let day = 1; day <= 30; day++) {
      const run = `shop.202611${String(day).padStart(2, '0')}T020000Z.0001`
      for (const id of await backUp(run, Buffer.from(`row ${run}`))) ids.add(id.toString('hex'))
    }
    const counts = new Map<string, number>()
    const counting = reading(repository.storage, (name) => counts.set(name, (counts.get(name) ?? 0) + 1))
    const ofSegments = () => [...counts].filter(([name]) => name.includes('/segments/'))
    // The lists are read for what they name, besides: only archives' segments are counted.
    const lists = new Set(await listIds())
    for (let turn = 0; turn < 4; turn++) {
      await scrubbed({ storage: counting, share: 1 / 4, now: new Date(now.getTime() + turn * 1000) })
    }
    const opened = ofSegments().filter(([name]) => !lists.has(name.slice(-64)))
    expect(opened).toHaveLength([...ids].filter((id) => !lists.has(id)).length)
    expect(opened.every(([, count]) => count === 1)).toBe(true)
    const { checked } = await record()
    expect(new Set(checked).size).toBe(4)
    expect(checked).not.toContain(null)
    // The fifth begins again with those of the first.
    const [oldest] = [...new Set(checked)].sort()
    await scrubbed({ share: 1 / 4, now: new Date(now.getTime() + 5000) })
    expect((await record()).checked).not.toContain(oldest)
  })

  it('keeps its record in the repository, each newer than the last whatever the clock says, ten of them', async () => {
    await backUp(monday, content(1))
    for (let turn = 0; turn < 14; turn++)
      await scrubbed({ share: 1 / 64, now: new Date(now.getTime() - turn) })
    expect(await scrubRecords()).toHaveLength(10)
    const { checked, found } = await record()
    expect(checked.filter((time) => time !== null)).toHaveLength(14 * 4)
    expect(found).toMatchObject({ shards: 4, healed: 0 })
  })

  it('falls back on the record before one that is damaged, or that nobody vouches for', async () => {
    await backUp(monday, content(1))
    await scrubbed({ share: 1 / 4 })
    const first = await record()
    await scrubbed({ share: 1 / 4 })
    const [newest = ''] = (await scrubRecords()).sort().reverse()
    await flip(`${repository.directory}/${newest}`)
    expect(await record()).toEqual(first)
    await rm(`${repository.directory}/${newest}`)
    const forged = `${source}/scrubs/${String(now.getTime() + 1e9)}.00000000.json`
    const head = {
      format: 1,
      kind: 'scrub',
      source,
      destination: 'local',
      at: now.toISOString(),
      key: null,
    }
    const all = { checked: new Array(256).fill(now.toISOString()), unhealed: {}, found: first.found }
    await repository.storage.put(forged, encodeDocument(forged, { ...head, ...all }, undefined))
    expect(await record()).toEqual(first)
    for (const name of await scrubRecords()) await flip(`${repository.directory}/${name}`)
    expect((await record()).checked.every((time) => time === null)).toBe(true)
  })

  it('tells of objects that are no part of a repository, and leaves them', async () => {
    await backUp(monday, content(1))
    const names = [
      'notes.txt',
      'segments/zz/readme',
      'segments/00/.DS_Store',
      'backups/other.20261123T020000Z.0001.json',
    ]
    for (const name of names) await repository.storage.put(`${source}/${name}`, Buffer.from('?'))
    const found = await scrubbed()
    expect([...found.unknown.names].sort()).toEqual(names.map((name) => `${source}/${name}`).sort())
    expect(found).toMatchObject({ unknown: { count: 4 }, findings: [] })
    for (const name of names) expect(await repository.storage.stat(`${source}/${name}`)).toBeDefined()
  })

  it('heals a list, whichever shard it is in, and names its backup where it cannot', async () => {
    const archive = content(10)
    await backUp(monday, archive)
    const [list = ''] = await listIds()
    const path = pathOf(Buffer.from(list, 'hex'))
    await flip(path)
    expect(await scrubbed({ others: [], share: 1 })).toMatchObject({
      findings: [{ what: 'altered', fate: { outcome: 'aside' }, runs: [monday] }],
      unhealed: [monday],
    })
    expect(await scrubbed({ share: 1 / 256 })).toMatchObject({
      findings: [{ what: 'missing', fate: { outcome: 'healed', from: 'far' } }],
      unhealed: [],
    })
    expect((await restored(repository.storage, monday)).equals(archive)).toBe(true)
  })

  it('takes what a prune removed between its looks for no finding', async () => {
    await backUp(monday, content(10))
    await backUp(tuesday, content(10))
    const old = new Date(now.getTime() + 60 * 24 * 60 * 60 * 1000)
    const pruneNow = async () => {
      const pruned = await prune({
        ...{ storage: aged(repository.storage, old), source, keys: repository.keys, installation: undefined },
        ...{
          acceptChecksums: false,
          retention: { ...noRules, days: 1, minimum: 1 },
          timeZone: 'UTC',
          now: old,
          signal,
        },
        unsound: () => Promise.resolve(new Set()),
      })
      expect(pruned.segments).toBeGreaterThan(2)
    }
    const found = await scrubbed({ passed: (place) => (place === 'named' ? pruneNow() : Promise.resolve()) })
    expect(found).toMatchObject({ findings: [], unhealed: [], touched: [] })
  })

  it('changes and records nothing in a dry run, and names what it found', async () => {
    const { ids, spoilt } = await sixBackups()
    await spoil(ids)
    const before = await readFile(pathOf(ids[2] as Buffer))
    const found = await scrubbed({ dryRun: true })
    expect(found.findings).toHaveLength(6)
    expect(found.unhealed).toEqual(spoilt)
    expect((await readFile(pathOf(ids[2] as Buffer))).equals(before)).toBe(true)
    expect(await scrubRecords()).toEqual([])
  })

  it('says so where the store refuses to have anything replaced or removed, and asks a dead one only once', async () => {
    const ids = await backUp(monday, content(20))
    for (const id of ids.slice(0, 2)) await flip(pathOf(id))
    const locked = refusing(repository.storage, 'STORAGE_LOCKED', ['delete'])
    const addOnly = refusing(repository.storage, 'STORAGE_REFUSED', ['delete'])
    let asked = 0
    const dead = reading(refusing(far, 'STORAGE_UNREACHABLE', ['get']), () => (asked += 1))
    const found = await scrubbed({ storage: locked, others: [dead] })
    expect(found.findings).toHaveLength(2)
    expect(found.findings.every(({ fate }) => fate.outcome === 'stays')).toBe(true)
    expect(found.unhealed).toEqual([monday])
    expect(found.silent.has('far')).toBe(true)
    expect(asked).toBe(1)
    // What may not be removed is emptied, so that no run takes it for whole.
    const emptied = await scrubbed({ storage: addOnly, others: [], share: 1 / 256 })
    expect(emptied.findings.map(({ fate }) => fate.outcome)).toEqual(['aside', 'aside'])
    for (const id of ids.slice(0, 2)) expect(await readFile(pathOf(id))).toHaveLength(0)
    expect(await Array.fromAsync(repository.storage.list(`${source}/aside/`))).toHaveLength(2)
    expect(await scrubbed({ storage: addOnly, others: [], share: 1 / 256 })).toMatchObject({
      findings: [{ what: 'truncated' }, { what: 'truncated' }],
      unhealed: [monday],
    })
    // Healing needs no right to remove.
    expect(await scrubbed({ storage: addOnly, share: 1 / 256 })).toMatchObject({ unhealed: [] })
    expect(await Array.fromAsync(repository.storage.list(`${source}/aside/`))).toHaveLength(2)
  })

  it('ends with what the place says where it cannot be read, and records nothing', async () => {
    const ids = await backUp(monday, content(20))
    await rm(pathOf(ids[0] as Buffer))
    let calls = 0
    const failing = reading(repository.storage, (name) => {
      if (!name.includes('/segments/')) return
      calls += 1
      if (calls > 3) throw new BackupError('STORAGE_UNREACHABLE', 'The disk is away.')
    })
    await expect(scrubbed({ storage: failing })).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    expect(await scrubRecords()).toEqual([])
  })

  it('does no harm twice at once, and puts down what both read', async () => {
    const { runs, archives, ids } = await sixBackups()
    await spoil(ids)
    const both = await Promise.all([scrubbed(), scrubbed({ share: 1 / 2 })])
    expect(both.flatMap(({ unhealed }) => unhealed)).toEqual([])
    for (const [at, run] of runs.entries()) {
      expect((await restored(repository.storage, run)).equals(archives[at] as Buffer)).toBe(true)
    }
    expect((await record()).checked).not.toContain(null)
    expect(await scrubbed()).toMatchObject({ findings: [] })
  })

  it('knows what each of two found that wrote at the same moment, whichever wrote last', async () => {
    await backUp(monday, content(1))
    await scrubbed({ share: 1 / 256 })
    let arrived = 0
    const { promise: both, resolve: go } = Promise.withResolvers<undefined>()
    // Each has listed what there is before either writes.
    const meeting = wrapped(repository.storage, {
      putIfAbsent: async (key, body) => {
        if (key.includes('/scrubs/')) {
          arrived += 1
          if (arrived === 2) go(undefined)
          await both
        }
        return repository.storage.putIfAbsent(key, body)
      },
    })
    const write = (shard: number) =>
      writeScrubRecord(meeting, source, repository.keys, now, (there, at) => ({
        ...there,
        checked: there.checked.map((time, one) => (one === shard ? at : time)),
        unhealed: new Map([...there.unhealed, [shard, [monday]]]),
      }))
    await Promise.all([write(100), write(200)])
    expect(await scrubRecords()).toHaveLength(3)
    const { checked, unhealed } = await record()
    expect([0, 100, 200].map((shard) => checked[shard])).not.toContain(null)
    expect([...unhealed.keys()].sort()).toEqual([100, 200])
  })

  it('goes on where a stranger left a record of a time that nobody writes', async () => {
    await backUp(monday, content(1))
    const strange = `${layout.scrubs(source)}999999999999999.deadbeef.json`
    await repository.storage.put(strange, Buffer.from('{}'))
    expect((await scrubbed()).unknown.names).toContain(strange)
    expect((await record()).checked).not.toContain(null)
    expect(await scrubRecords()).toHaveLength(2)
  })

  it('is refused in a repository of another installation', async () => {
    await backUp(monday, content(1))
    await expect(scrubbed({ keys: keyRing() })).rejects.toMatchObject({ code: 'OTHER_INSTALLATION' })
  })

  it('reads nothing back without the key, and says so', async () => {
    await backUp(monday, content(1))
    await expect(scrubbed({ keys: noKeys() })).rejects.toMatchObject({ code: 'KEY_MISSING' })
    expect(await scrubRecords()).toEqual([])
  })

  it('leaves no trace where there is nothing of the source', async () => {
    expect(await scrubbed()).toMatchObject({ opened: 0, findings: [] })
    expect(await Array.fromAsync(repository.storage.list(''))).toEqual([])
  })
})

async function scrubRecords(): Promise<string[]> {
  return (await Array.fromAsync(repository.storage.list(layout.scrubs(source)))).map(({ key }) => key)
}

/** Ids of the segments that hold lists. */
async function listIds(): Promise<string[]> {
  const ids: string[] = []
  for await (const { key } of repository.storage.list(layout.backups(source))) {
    const run = /([^/]+)\.json$/.exec(key)?.[1] ?? ''
    const { manifest } = await readBackup(repository.storage, source, run, repository.keys)
    ids.push(...manifest.streams.flatMap(({ list }) => list.map(({ id }) => id)))
  }
  return ids
}

function wrapped(storage: Storage, change: Partial<Storage>): Storage {
  const changed: Storage = Object.assign(Object.create(storage) as Storage, change, { until: () => changed })
  return changed
}

/** A place that tells of each object that is read. */
const reading = (storage: Storage, told: (name: string) => void) =>
  wrapped(storage, {
    get: async (key, range) => {
      told(key)
      return storage.get(key, range)
    },
  })

const refusing = (
  storage: Storage,
  code: 'STORAGE_LOCKED' | 'STORAGE_REFUSED' | 'STORAGE_UNREACHABLE',
  calls: readonly string[],
) =>
  wrapped(
    storage,
    Object.fromEntries(
      calls.map((call) => [call, () => Promise.reject(new BackupError(code, `${call} is refused.`))]),
    ),
  )

const noRules = {
  days: undefined,
  last: undefined,
  daily: undefined,
  weekly: undefined,
  monthly: undefined,
  yearly: undefined,
}

/** A place whose clock says `time`. */
const aged = (storage: Storage, time: Date) => wrapped(storage, { now: () => Promise.resolve(time) })
