import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../../../test/helpers/redis.ts'
import { claimPlace, type ClaimLimits, heldPlaces, leaveClaim, prefix, Queues } from './index.ts'

let server: TestRedis
let redis: Redis
let queues: Queues

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url, { maxRetriesPerRequest: null })
  queues = new Queues(redis, 10)
})
afterAll(async () => {
  await queues.close()
  redis.disconnect()
  await server.stop()
})
beforeEach(() => redis.flushall())

const limits: ClaimLimits = { servers: { main: 2, small: 1 }, runs: 3 }
const now = new Date('2026-11-23T02:00:00.000Z')
const later = (ms: number) => new Date(now.getTime() + ms)

/** A run's job as BullMQ keeps it, as far as claims look at it. */
const job = (run: string) => `${prefix}:run:${run}`
const begin = (run: string) => redis.hset(job(run), 'data', '{}')
const end = (run: string) => redis.hset(job(run), 'finishedOn', '1')

async function claim(run: string, on: string, at = now, must = false): Promise<string | undefined> {
  const wait = await claimPlace(redis, limits, { run, server: on, now: at, must })
  return wait?.for
}

async function beginAndClaim(run: string, on: string, at = now): Promise<string | undefined> {
  await begin(run)
  return claim(run, on, at)
}

describe('a place among the runs that are made at a time', () => {
  it('is taken while its server has room, and waited for in words for people when it has none', async () => {
    expect(await beginAndClaim('a', 'main')).toBeUndefined()
    expect(await beginAndClaim('b', 'main')).toBeUndefined()
    expect(await beginAndClaim('c', 'main')).toBe('server main: 2 of 2 runs')
    expect(await heldPlaces(redis)).toEqual({ a: 'main', b: 'main' })
  })

  it('is waited for when all servers together have none', async () => {
    for (const run of ['a', 'b', 'c']) expect(await beginAndClaim(run, `host-${run}`)).toBeUndefined()
    expect(await beginAndClaim('d', 'host-d')).toBe('all servers: 3 of 3 runs')
  })

  it('is the same place when it is taken twice', async () => {
    await beginAndClaim('a', 'small')
    expect(await claim('a', 'small')).toBeUndefined()
    expect(await heldPlaces(redis)).toEqual({ a: 'small' })
  })

  it('is taken in any case by a run that has begun', async () => {
    await beginAndClaim('a', 'small')
    await begin('b')
    expect(await claim('b', 'small', now, true)).toBeUndefined()
    expect(await beginAndClaim('c', 'small')).toBe('server small: 2 of 1 runs')
  })

  it('goes to who came first, whoever looks first', async () => {
    await beginAndClaim('a', 'small')
    await beginAndClaim('b', 'small', later(1))
    await beginAndClaim('c', 'small', later(2))
    await end('a')
    await leaveClaim(queues, 'a')
    expect(await claim('c', 'small', later(3))).toBe('server small: 1 of 1 runs')
    expect(await claim('b', 'small', later(4))).toBeUndefined()
  })

  it('is not kept from a run whose server has room by an earlier one whose server has none', async () => {
    await beginAndClaim('a', 'small')
    await beginAndClaim('b', 'small', later(1))
    expect(await beginAndClaim('c', 'main', later(2))).toBeUndefined()
  })

  it('comes free when its run has ended or is gone, although its worker died before it could say so', async () => {
    await beginAndClaim('a', 'small')
    await end('a')
    expect(await beginAndClaim('b', 'small')).toBeUndefined()
    await redis.del(job('b'))
    expect(await beginAndClaim('c', 'small')).toBeUndefined()
    expect(await heldPlaces(redis)).toEqual({ c: 'small' })
  })

  it('is not kept for a run that waited and ended meanwhile', async () => {
    await beginAndClaim('a', 'small')
    await beginAndClaim('b', 'small', later(1))
    await beginAndClaim('c', 'small', later(2))
    await end('a')
    await end('b')
    expect(await claim('c', 'small', later(3))).toBeUndefined()
  })

  it('is unlimited where nothing is said', async () => {
    const free: ClaimLimits = { servers: {}, runs: undefined }
    for (let run = 0; run < 50; run++) {
      await begin(String(run))
      expect(
        await claimPlace(redis, free, { run: String(run), server: 'main', now, must: false }),
      ).toBeUndefined()
    }
  })

  it('has a run that waits in the queue look again when it comes free', async () => {
    const wanted = {
      v: 1,
      source: 'shop',
      requestedBy: 'test',
      requestedAt: now.toISOString(),
      options: {},
    } as const
    await beginAndClaim('a', 'small')
    const waiting = await queues.add('run', 'shop.20261123T020000Z.0001', wanted, { delay: 600_000 })
    expect(await claim(waiting.id ?? '', 'small')).toBe('server small: 1 of 1 runs')
    await end('a')
    await leaveClaim(queues, 'a')
    expect(await waiting.getState()).toBe('waiting')
  })
})

type Event =
  | { readonly does: 'come' | 'look' | 'end' | 'crash' | 'vanish'; readonly run: number }
  | { readonly does: 'everybody looks' }

const events = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ does: fc.constant('come' as const), run: fc.nat(11) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        does: fc.constantFrom('look' as const, 'end' as const, 'crash' as const, 'vanish' as const),
        run: fc.nat(11),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ does: 'everybody looks' as const }) },
  ),
  { minLength: 1, maxLength: 40 },
)

/** What ought to hold, kept beside what Redis keeps. */
class Model {
  /** In the order of coming. */
  readonly waiting = new Map<number, string>()
  readonly held = new Map<number, string>()

  count(on?: string): number {
    return [...this.held.values()].filter((one) => on === undefined || one === on).length
  }

  full(on: string): boolean {
    return this.count() >= (limits.runs ?? Infinity) || this.count(on) >= (limits.servers[on] ?? Infinity)
  }
}

const serverOf = (run: number) => ['main', 'small', 'elsewhere'][run % 3] ?? 'main'

async function look(model: Model, run: number): Promise<void> {
  const on = serverOf(run)
  const had = model.held.has(run)
  const wait = await claim(String(run), on)
  if (had) expect(wait).toBeUndefined()
  if (wait !== undefined || had) return
  // Nobody of the same server that came before is passed over, and no limit is passed.
  const before = [...model.waiting].find(([, of]) => of === on)
  expect(before?.[0]).toBe(run)
  expect(model.full(on)).toBe(false)
  model.waiting.delete(run)
  model.held.set(run, on)
}

async function happen(model: Model, event: Event, at: number): Promise<void> {
  if (event.does === 'everybody looks') {
    for (const run of [...model.waiting.keys()]) await look(model, run)
    // Nothing is lost: whoever still waits has a limit before it.
    for (const on of model.waiting.values()) expect(model.full(on)).toBe(true)
    return
  }
  const { run, does } = event
  const known = model.held.has(run) || model.waiting.has(run)
  if (does === 'come') {
    if (known) return
    model.waiting.set(run, serverOf(run))
    await begin(String(run))
    await redis.hdel(job(String(run)), 'finishedOn')
    const wait = await claimPlace(redis, limits, {
      run: String(run),
      server: serverOf(run),
      now: later(at),
    })
    if (wait !== undefined) return
    expect(model.full(serverOf(run))).toBe(false)
    model.waiting.delete(run)
    model.held.set(run, serverOf(run))
    return
  }
  if (!known) return
  if (does === 'look') return look(model, run)
  model.held.delete(run)
  model.waiting.delete(run)
  await (does === 'vanish' ? redis.del(job(String(run))) : end(String(run)))
  if (does === 'end') await leaveClaim(queues, String(run))
}

describe('whatever happens to runs and workers', () => {
  it('never more runs than the limits hold a place, none loses its place, and none waits without a reason', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (story) => {
        await redis.flushall()
        const model = new Model()
        for (const [at, event] of story.entries()) {
          await happen(model, event, at)
          expect(model.count()).toBeLessThanOrEqual(3)
        }
        await happen(model, { does: 'everybody looks' }, story.length)
        const held = await heldPlaces(redis)
        for (const [run, on] of model.held) expect(held[String(run)]).toBe(on)
      }),
      { numRuns: 150 },
    )
  })

  it('of forty that look at the same moment over ten connections, as many get a place as there are', async () => {
    const clients = Array.from({ length: 10 }, () => new Redis(server.url))
    try {
      const runs = Array.from({ length: 40 }, (_, index) => String(index))
      await Promise.all(runs.map(begin))
      const waits = await Promise.all(
        runs.map((run, index) =>
          claimPlace(clients[index % 10] ?? redis, limits, { run, server: 'main', now, must: false }),
        ),
      )
      expect(waits.filter((wait) => wait === undefined)).toHaveLength(2)
      expect(Object.keys(await heldPlaces(redis))).toHaveLength(2)
    } finally {
      for (const client of clients) client.disconnect()
    }
  })
})
