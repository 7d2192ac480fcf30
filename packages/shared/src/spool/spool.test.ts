import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import {
  admit,
  type Attempt,
  type BatchRecord,
  bookedBytes,
  largestBatch,
  removeAbandoned,
  reservationOf,
  Spool,
  unlessDamaged,
} from './index.ts'

let directory: string
let spool: Spool
const room = reservationOf(largestBatch)

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 't-'))
  spool = await openSpool(3 * room)
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

const openSpool = (limit: number) => Spool.open({ directory: join(directory, 'spool'), limit })
const begin = (run: string, attempt: string, destinations = ['local']): Promise<Attempt> =>
  spool.run(run).beginAttempt({ run, attempt, key: null, destinations })
const record = (bytes = randomBytes(100)): BatchRecord => ({
  id: randomBytes(32),
  plainLength: 100,
  payload: { compression: 0, bytes },
  destinations: [0],
})

describe('a spool', () => {
  it('has one id, whoever opens it, also at the same time', async () => {
    const fresh = join(directory, 'fresh')
    const opened = await Promise.all(
      Array.from({ length: 10 }, () => Spool.open({ directory: fresh, limit: 1 })),
    )
    expect(new Set(opened.map(({ id }) => id)).size).toBe(1)
    expect(opened[0]?.id).not.toBe(spool.id)
  })

  it('is closed to other users', async () => {
    await begin('shop.1', 'aaaaaaaa')
    expect(((await stat(join(directory, 'spool'))).mode & 0o777).toString(8)).toBe('700')
    expect(((await stat(join(directory, 'spool', 'spool.json'))).mode & 0o777).toString(8)).toBe('600')
  })

  it('cannot be a file, and says what to set', async () => {
    await writeFile(join(directory, 'file'), '')
    await expect(Spool.open({ directory: join(directory, 'file'), limit: 1 })).rejects.toMatchObject({
      code: 'SPOOL_UNUSABLE',
      hint: expect.stringContaining('BACKUP_SPOOL_DIR'),
    })
  })

  it.each(['', '.', '..', '../out', 'a/b', '/etc', '.hidden'])('has no run named %j', (id) => {
    expect(() => spool.run(id)).toThrow(TypeError)
  })
})

describe('an attempt', () => {
  it('keeps its facts and counts as the current one', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa', ['local', 'far'])
    expect(await attempt.facts()).toEqual({
      run: 'shop.1',
      attempt: 'aaaaaaaa',
      key: null,
      destinations: ['local', 'far'],
    })
    expect(await spool.run('shop.1').current()).toBe('aaaaaaaa')
    expect(spool.runs()).toEqual(['shop.1'])
  })

  it('removes what earlier attempts left, and their bookings', async () => {
    const first = await begin('shop.1', 'aaaaaaaa')
    await first.batch(1).reserve(1000)
    await begin('shop.1', 'bbbbbbbb')
    expect(await first.facts()).toBeUndefined()
    expect(await first.batch(1).state()).toBe('gone')
    expect(await bookedBytes(spool)).toBe(0)
    expect(await spool.run('shop.1').current()).toBe('bbbbbbbb')
  })

  it('does not remove one that begins at the same moment and counts', async () => {
    for (let round = 0; round < 30; round++) {
      const run = `shop.${String(round)}`
      await Promise.all([begin(run, 'aaaaaaaa'), begin(run, 'bbbbbbbb')])
      const current = (await spool.run(run).current()) ?? ''
      expect(await spool.run(run).attempt(current).facts()).toMatchObject({ attempt: current })
    }
  })

  it('is over when its run is removed, for steps that come late, too', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa')
    await attempt.batch(1).reserve(1000)
    await spool.run('shop.1').remove()
    await spool.run('shop.1').remove()
    expect(spool.runs()).toEqual([])
    expect(await spool.run('shop.1').current()).toBeUndefined()
    expect(await attempt.facts()).toBeUndefined()
    expect(await attempt.dropped()).toEqual(new Map())
    expect(await attempt.batch(1).state()).toBe('gone')
    expect(await attempt.batch(1).doneEntries('local')).toBeUndefined()
    await attempt.batch(1).freeIfDone(['local'])
    await attempt.drop('local', 'late')
    await spool.run('shop.1').touch(new Date())
    expect(spool.runs()).toEqual([])
  })

  it('notes why a destination was dropped; the first reason stays, also among many at once', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa', ['local', 'far'])
    await Promise.all(Array.from({ length: 10 }, (_, n) => attempt.drop('far', `reason ${String(n)}`)))
    const first = (await attempt.dropped()).get('far')
    expect(first).toMatch(/^reason \d$/)
    await attempt.drop('far', 'later')
    expect(await attempt.dropped()).toEqual(new Map([['far', first]]))
  })

  it('notes since when a destination takes nothing, until it takes something', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa', ['local', 'far'])
    const times = ['02:00', '02:05', '02:10'].map((time) => new Date(`2026-11-23T${time}:00Z`))
    const [first, second, third] = times as [Date, Date, Date]
    expect(await attempt.noteTrouble('far', first)).toEqual(first)
    expect(await attempt.noteTrouble('far', second)).toEqual(first)
    expect(await attempt.noteTrouble('local', second)).toEqual(second)
    await attempt.forgetTrouble('far')
    await attempt.forgetTrouble('far')
    expect(await attempt.noteTrouble('far', third)).toEqual(third)
    expect(await attempt.dropped()).toEqual(new Map())
  })
})

describe('a small file that a power cut left empty or as zeros', () => {
  it('is found damaged where a run needs it, and does no harm elsewhere', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa')
    const batch = attempt.batch(1)
    await batch.reserve(1000)
    await batch.markDone('local', [])
    await attempt.noteTrouble('local', new Date('2026-11-23T02:00:00Z'))
    const here = join(directory, 'spool/runs/shop.1')
    const now = new Date('2026-11-23T03:00:00Z')
    const damaged = { code: 'SPOOL_DAMAGED' }
    for (const content of ['', '\0\0\0\0']) {
      const small = [
        'current',
        'aaaaaaaa/attempt.json',
        'aaaaaaaa/trouble.local',
        'aaaaaaaa/batches/000001/reservation',
        'aaaaaaaa/batches/000001/done.local',
      ]
      for (const name of small) await writeFile(join(here, name), content)
      await expect(spool.run('shop.1').current()).rejects.toMatchObject(damaged)
      await expect(attempt.facts()).rejects.toMatchObject(damaged)
      await expect(batch.doneEntries('local')).rejects.toMatchObject(damaged)
      expect(await batch.reserved()).toBe(0)
      expect(await attempt.noteTrouble('local', now)).toEqual(now)
      expect(await unlessDamaged(attempt.facts())).toBeUndefined()
    }
  })
})

describe('the list of a stream', () => {
  const entries = Array.from({ length: 5000 }, (_, n) => ({ id: randomBytes(32), plainLength: n + 1 }))
  const listPath = () => join(directory, 'spool/runs/shop.1/aaaaaaaa/streams/archive.list')

  const readAll = async (attempt: Attempt) => {
    const read = []
    for await (const entry of attempt.readStreamList('archive')) read.push(entry)
    return read
  }

  it('gives back its entries in order, also when there are none', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa')
    const list = await attempt.writeStreamList('archive')
    for (const entry of entries) await list.append(entry)
    await list.finish()
    await (await attempt.writeStreamList('globals')).finish()
    expect(await readAll(attempt)).toEqual(entries)
    for await (const entry of attempt.readStreamList('globals')) expect(entry).toBeUndefined()
  })

  it('is found damaged when it is gone, not ended, cut short anywhere, altered or all zeros', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa')
    const damaged = { code: 'SPOOL_DAMAGED' }
    await expect(readAll(attempt)).rejects.toMatchObject(damaged)
    const list = await attempt.writeStreamList('archive')
    for (const entry of entries.slice(0, 3)) await list.append(entry)
    await expect(readAll(attempt)).rejects.toMatchObject(damaged)
    await list.finish()
    const whole = await readFile(listPath())
    expect(await readAll(attempt)).toEqual(entries.slice(0, 3))
    for (const length of [0, 35, 36, 72, 108, 109, 143]) {
      await writeFile(listPath(), whole.subarray(0, length))
      await expect(readAll(attempt)).rejects.toMatchObject(damaged)
    }
    for (const at of [0, 36, 107, 108]) {
      const altered = Buffer.from(whole)
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at)
      await writeFile(listPath(), altered)
      await expect(readAll(attempt)).rejects.toMatchObject(damaged)
    }
    for (const length of [36, whole.length]) {
      await writeFile(listPath(), Buffer.alloc(length))
      await expect(readAll(attempt)).rejects.toMatchObject(damaged)
    }
  })
})

describe('a batch', () => {
  const contents = async (batch: ReturnType<Attempt['batch']>, file: 'raw' | 'packed' | 'sealed') => {
    const records = []
    for await (const one of batch.read(file, undefined)) records.push(one)
    return records
  }

  const rawBatch = async (records: BatchRecord[]) => {
    const batch = (await begin('shop.1', 'aaaaaaaa')).batch(1)
    await batch.reserve(reservationOf(1000))
    const writer = await batch.begin('raw', undefined)
    for (const one of records) await writer.write(one)
    await writer.publish()
    return batch
  }

  it('goes from raw to packed to sealed to freed, and keeps one file at a time', async () => {
    const batch = await rawBatch([record()])
    const seen = [await batch.state()]
    await batch.advance('raw', 'packed', undefined, (writer) => writer.write(record()))
    seen.push(await batch.state())
    await batch.advance('packed', 'sealed', undefined, (writer) => writer.write(record()))
    seen.push(await batch.state())
    expect((await readdir(batch.directory)).sort()).toEqual(['reservation', 'sealed'])
    await batch.markDone('local', [])
    await batch.freeIfDone(['local'])
    seen.push(await batch.state())
    batch.remove()
    seen.push(await batch.state())
    expect(seen).toEqual(['raw', 'packed', 'sealed', 'freed', 'gone'])
  })

  it('keeps what each destination has after it is freed', async () => {
    const batch = await rawBatch([record()])
    const entries = [
      { id: randomBytes(32), plainLength: 10, sealedLength: 20, sealedHash: randomBytes(32) },
      { id: randomBytes(32), plainLength: 11, sealedLength: 21, sealedHash: randomBytes(32) },
    ]
    await batch.markDone('local', entries)
    await batch.freeIfDone(['local', 'far'])
    expect([await batch.state(), await batch.isFreed(), await batch.reserved()]).toEqual(['raw', false, 3000])
    await batch.markDone('far', [])
    await batch.freeIfDone(['local', 'far'])
    expect([await batch.state(), await batch.isFreed(), await batch.reserved()]).toEqual(['freed', true, 0])
    expect(await batch.doneEntries('local')).toEqual(entries)
    expect(await batch.doneEntries('far')).toEqual([])
    expect(await batch.doneEntries('other')).toBeUndefined()
  })

  it('stays as it was when a step fails in the middle', async () => {
    const batch = await rawBatch([record()])
    await expect(
      batch.advance('raw', 'packed', undefined, async (writer) => {
        await writer.write(record())
        throw new Error('killed')
      }),
    ).rejects.toThrow('killed')
    expect((await readdir(batch.directory)).sort()).toEqual(['raw', 'reservation'])
    expect(await batch.state()).toBe('raw')
  })

  it('is whole and one state further when the same step runs twice at once', async () => {
    for (let round = 0; round < 20; round++) {
      await spool.run('shop.1').remove()
      const records = Array.from({ length: 5 }, () => record(randomBytes(2000)))
      const batch = await rawBatch(records)
      const step = () =>
        batch.advance('raw', 'packed', undefined, async (writer) => {
          for await (const one of batch.read('raw', undefined)) await writer.write(one)
        })
      const outcomes = await Promise.allSettled([step(), step()])
      // The later one may find the file gone: its job is tried again and finds the later state.
      for (const outcome of outcomes.filter(({ status }) => status === 'rejected')) {
        expect(outcome).toMatchObject({ reason: { code: 'ENOENT' } })
      }
      expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true)
      expect(await batch.state()).toBe('packed')
      expect(await contents(batch, 'packed')).toEqual(records)
      expect((await readdir(batch.directory)).sort()).toEqual(['packed', 'reservation'])
    }
  })

  it('does not go back when a step wakes up after the next one was done', async () => {
    const batch = await rawBatch([record()])
    const late = await batch.begin('packed', undefined)
    await late.write(record())
    await batch.advance('raw', 'packed', undefined, (writer) => writer.write(record()))
    await batch.advance('packed', 'sealed', undefined, (writer) => writer.write(record()))
    await late.publish()
    expect(await batch.state()).toBe('sealed')
    await batch.markDone('local', [])
    await batch.freeIfDone(['local'])
    expect((await readdir(batch.directory)).sort()).toEqual(['done.local'])
  })
})

describe('admission', () => {
  const patient = { signal: new AbortController().signal, whileWaiting: () => Promise.resolve() }

  it('lets many dumps take turns, never beyond the limit, until all are through', async () => {
    let [most, through] = [0, 0]
    const booked = new Set<number>()
    const dump = async (number: number) => {
      const attempt = await begin(`shop.${String(number)}`, 'aaaaaaaa')
      // Another process has the same directory open, not the same object.
      const mine = await openSpool(spool.limit)
      for (let batch = 1; batch <= 4; batch++) {
        const token = number * 10 + batch
        await admit(mine, attempt.batch(batch), patient)
        booked.add(token)
        most = Math.max(most, booked.size * room)
        await new Promise((resolve) => setImmediate(resolve))
        booked.delete(token)
        await attempt.batch(batch).markDone('local', [])
        await attempt.batch(batch).freeIfDone(['local'])
      }
      through += 1
    }
    await Promise.all(Array.from({ length: 6 }, (_, number) => dump(number)))
    expect(through).toBe(6)
    expect(most).toBeLessThanOrEqual(spool.limit)
    expect(await bookedBytes(spool)).toBe(0)
  })

  it('waits until there is room, looking about meanwhile', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa')
    for (const batch of [1, 2, 3]) await admit(spool, attempt.batch(batch), patient)
    let looks = 0
    const whileWaiting = () => {
      looks += 1
      if (looks === 3) attempt.batch(2).remove()
      return Promise.resolve()
    }
    await admit(spool, attempt.batch(4), { ...patient, whileWaiting })
    expect(looks).toBe(3)
    expect(await bookedBytes(spool)).toBe(3 * room)
  })

  it('ends the wait when looking about throws or the dump is told to stop, and books nothing then', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa')
    for (const batch of [1, 2, 3]) await admit(spool, attempt.batch(batch), patient)
    const whileWaiting = () => Promise.reject(new Error('superseded'))
    await expect(admit(spool, attempt.batch(4), { ...patient, whileWaiting })).rejects.toThrow('superseded')
    const stop = new AbortController()
    const whenAsked = () => {
      stop.abort(new Error('cancelled'))
      return Promise.resolve()
    }
    const stopping = { signal: stop.signal, whileWaiting: whenAsked }
    await expect(admit(spool, attempt.batch(4), stopping)).rejects.toThrow()
    expect(await bookedBytes(spool)).toBe(3 * room)
  })

  it('does not take a batch that is only being made for one that was freed', async () => {
    const attempt = await begin('shop.1', 'aaaaaaaa')
    await mkdir(attempt.batch(1).directory)
    expect(await bookedBytes(spool)).toBe(0)
    await attempt.batch(1).reserve(1000)
    expect(await bookedBytes(spool)).toBe(1000)
  })
})

describe('the janitor', () => {
  const hour = 60 * 60 * 1000
  const now = new Date('2026-11-23T12:00:00Z')

  it('removes what a worker that was killed at its start left, once it is a day old', async () => {
    for (const [name, age] of [
      ['spool.json.tmp-0123456789ab', 25],
      ['spool.json.tmp-ba9876543210', 23],
    ] as const) {
      await writeFile(join(directory, 'spool', name), '{')
      const then = new Date(now.getTime() - age * hour)
      await utimes(join(directory, 'spool', name), then, then)
    }
    await removeAbandoned(spool, now, () => Promise.resolve(true))
    expect((await readdir(join(directory, 'spool'))).sort()).toEqual([
      'runs',
      'spool.json',
      'spool.json.tmp-ba9876543210',
    ])
  })

  it('removes runs that no queue knows and nobody touched for an hour, and no others', async () => {
    for (const run of ['old', 'old-known', 'young']) await begin(run, 'aaaaaaaa')
    for (const run of ['old', 'old-known']) await spool.run(run).touch(new Date(now.getTime() - hour - 1000))
    await spool.run('young').touch(new Date(now.getTime() - hour + 1000))
    const asked: string[] = []
    const removed = await removeAbandoned(spool, now, (run) => {
      asked.push(run)
      return Promise.resolve(run === 'old-known')
    })
    expect(removed).toEqual(['old'])
    expect(asked.sort()).toEqual(['old', 'old-known'])
    expect(spool.runs().sort()).toEqual(['old-known', 'young'])
  })
})
