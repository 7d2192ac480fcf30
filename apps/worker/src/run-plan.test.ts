import { describe, expect, it } from '@jest/globals'
import type { DumpResult } from '@securyflex/shared/queue'
import fc from 'fast-check'
import { decide, type DestinationFacts, type RunFacts } from './run-plan.ts'

const dump: DumpResult = {
  attempt: '0a1b2c3d',
  batches: 2,
  startedAt: '2026-11-23T02:00:00.000Z',
  snapshotAt: '2026-11-23T02:00:01.000Z',
  finishedAt: '2026-11-23T02:00:09.000Z',
  tool: 'pg_dump 15.18',
  server: { version: '15.18', major: 15, systemIdentifier: null },
  database: { name: 'shop' },
  streams: [],
  newBytes: 10,
}
const failure = { code: 'STORAGE_FULL', reason: 'There is no space left.' } as const
const sealed = {
  value: { sealedAt: '2026-11-23T02:00:10.000Z', stored: { segments: 1, bytes: 1 }, manifest: 'ab' },
}
const verified = { value: { opened: 1, listed: 0, bytes: 1 } }
const pruned = { value: { backups: 0, segments: 0 } }
const told = { value: { delivered: true as const } }

const untouched = (destination: string): DestinationFacts => ({
  destination,
  lane: undefined,
  seal: undefined,
  verify: undefined,
  prune: undefined,
})
const good = (destination: string): DestinationFacts => ({
  destination,
  lane: undefined,
  seal: sealed,
  verify: verified,
  prune: pruned,
})
const facts = (changes: Partial<RunFacts>): RunFacts => ({
  cancelled: false,
  refused: undefined,
  dumps: [{ value: dump }],
  destinations: [untouched('local'), untouched('far')],
  channels: [{ channel: 'log', notify: undefined }],
  ...changes,
})

describe('a run', () => {
  it('begins with a dump', () => {
    expect(decide(facts({ dumps: [] }))).toEqual({ do: 'dump', number: 1 })
  })

  it('seals where all batches arrived, and only there', () => {
    const destinations = [untouched('local'), { ...untouched('far'), lane: failure }]
    expect(decide(facts({ destinations }))).toEqual({ do: 'seal', destinations: ['local'], dump })
  })

  it('verifies what was sealed, then prunes what was verified', () => {
    const sealedHere = { ...untouched('local'), seal: sealed }
    expect(decide(facts({ destinations: [sealedHere] }))).toEqual({
      do: 'verify',
      destinations: ['local'],
      dump,
    })
    const verifiedHere = { ...sealedHere, verify: verified }
    expect(decide(facts({ destinations: [verifiedHere] }))).toEqual({
      do: 'prune',
      destinations: ['local'],
      dump,
    })
  })

  it('prunes nowhere that failed to verify', () => {
    const destinations = [{ ...untouched('local'), seal: sealed, verify: { failure } }, good('far')]
    expect(decide(facts({ destinations }))).toMatchObject({
      do: 'notify',
      judgement: { outcome: 'degraded' },
    })
  })

  it('tells before it ends, on a failure too', () => {
    const failed = facts({ dumps: [{ failure }] })
    expect(decide(failed)).toMatchObject({ do: 'notify', judgement: { outcome: 'failed', failure } })
    const channels = [{ channel: 'log', notify: told }]
    expect(decide({ ...failed, channels })).toMatchObject({ do: 'finish', judgement: { outcome: 'failed' } })
  })

  it('is not changed by a channel that is dead', () => {
    const destinations = [good('local'), good('far')]
    const channels = [{ channel: 'webhook', notify: { failure } }]
    expect(decide(facts({ destinations, channels }))).toMatchObject({
      do: 'finish',
      judgement: { outcome: 'success' },
    })
  })

  it('dumps again when batches were lost on disk, three times at the most', () => {
    const lost = { code: 'SPOOL_DAMAGED', reason: 'The batch is damaged.' } as const
    const destinations = [{ ...untouched('local'), lane: lost }]
    expect(decide(facts({ destinations }))).toEqual({ do: 'dump', number: 2 })
    const dumps = [{ value: dump }, { value: dump }, { value: dump }]
    expect(decide(facts({ destinations, dumps }))).toMatchObject({
      do: 'notify',
      judgement: { outcome: 'failed' },
    })
  })

  it('does nothing more once it is cancelled but tell and end', () => {
    expect(decide(facts({ cancelled: true, dumps: [] }))).toMatchObject({
      do: 'notify',
      judgement: { outcome: 'cancelled' },
    })
  })

  it('does nothing at all for a source that it does not know', () => {
    const refused = { code: 'SOURCE_UNKNOWN', reason: 'There is no source x.' } as const
    expect(decide(facts({ refused, dumps: [] }))).toMatchObject({
      do: 'notify',
      judgement: { outcome: 'failed', failure: refused },
    })
  })
})

const came = <T>(value: T) => fc.constantFrom(undefined, { failure }, { value })
const anyDestination = (destination: string) =>
  fc.record({
    destination: fc.constant(destination),
    lane: fc.constantFrom(undefined, failure),
    seal: fc.oneof(came(sealed.value), fc.constant({ value: { skipped: 'superseded' as const } })),
    verify: fc.oneof(came(verified.value), fc.constant({ value: { skipped: 'cancelled' as const } })),
    prune: came(pruned.value),
  })
const anyFacts = fc.record({
  cancelled: fc.boolean(),
  refused: fc.constantFrom(undefined, failure),
  dumps: fc.array(
    fc.constantFrom({ failure }, { value: dump }, { value: { skipped: 'cancelled' as const } }),
    { maxLength: 3 },
  ),
  destinations: fc.tuple(anyDestination('local'), anyDestination('far')),
  channels: fc.tuple(fc.record({ channel: fc.constant('log'), notify: came(told.value) })),
})

describe('whatever came back', () => {
  it('a run is a success only if a dump completed and every destination is sealed and verified', () => {
    fc.assert(
      fc.property(anyFacts, (seen) => {
        const next = decide(seen)
        if (next.do !== 'finish' && next.do !== 'notify') return
        if (next.judgement.outcome !== 'success') return
        expect(seen.dumps.at(-1)?.value).toEqual(dump)
        for (const { lane, seal, verify } of seen.destinations) {
          expect({ lane, seal, verify }).toEqual({ lane: undefined, seal: sealed, verify: verified })
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('a run that is neither success nor degraded says why', () => {
    fc.assert(
      fc.property(anyFacts, (seen) => {
        const next = decide(seen)
        if (next.do !== 'finish') return
        if (next.judgement.outcome !== 'success') expect(next.judgement.failure?.reason).toBeTruthy()
      }),
      { numRuns: 2000 },
    )
  })
})
