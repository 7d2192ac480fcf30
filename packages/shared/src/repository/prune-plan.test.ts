import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { newRunId, planPrune, type PruneInput, timeOfRun } from './index.ts'

const day = 24 * 60 * 60 * 1000
const now = new Date('2026-11-23T12:00:00Z')

const ageInDays = fc.double({ min: 0, max: 400, noNaN: true })
const backup = fc.record({ age: ageInDays, trusted: fc.boolean() }).map(({ age, trusted }) => {
  const run = newRunId('shop', new Date(now.getTime() - age * day))
  return { run, time: timeOfRun(run), trusted }
})
const backups = fc.uniqueArray(backup, { maxLength: 40, selector: ({ run }) => run })
const input: fc.Arbitrary<PruneInput> = fc.record({
  backups,
  unreadable: fc.constant([]),
  now: fc.constant(now),
  retentionDays: fc.integer({ min: 1, max: 365 }),
  keepAtLeast: fc.integer({ min: -1, max: 12 }),
})

const newestTrusted = (plan: PruneInput) =>
  plan.backups
    .filter(({ trusted }) => trusted)
    .map(({ run }) => run)
    .sort()
    .reverse()

describe('a plan to prune', () => {
  it('keeps the newest trusted backup, and as many as asked for, whatever their age', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const kept = new Set(planPrune(plan).decisions.flatMap(({ run, keep }) => (keep ? [run] : [])))
        for (const run of newestTrusted(plan).slice(0, Math.max(1, plan.keepAtLeast)))
          expect(kept).toContain(run)
      }),
      { numRuns: 500 },
    )
  })

  it('decides on every backup once, newest first, and gives a reason', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const { decisions } = planPrune(plan)
        expect(decisions.map(({ run }) => run)).toEqual(
          plan.backups
            .map(({ run }) => run)
            .sort()
            .reverse(),
        )
        expect(decisions.every(({ why }) => why.length > 0)).toBe(true)
      }),
    )
  })

  it('removes only trusted backups that are older than the retention, and all of those but the kept newest', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const removed = planPrune(plan).decisions.flatMap(({ run, keep }) => (keep ? [] : [run]))
        const old = (run: string) => now.getTime() - timeOfRun(run).getTime() > plan.retentionDays * day
        const expected = newestTrusted(plan).slice(Math.max(1, plan.keepAtLeast)).filter(old)
        expect(removed).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  it('does not depend on the order in which backups were found', () => {
    fc.assert(
      fc.property(input, (plan) => {
        expect(planPrune({ ...plan, backups: [...plan.backups].reverse() })).toEqual(planPrune(plan))
      }),
    )
  })

  it('removes nothing where one manifest cannot be read, and names it', () => {
    fc.assert(
      fc.property(input, (plan) => {
        const { refused, decisions } = planPrune({
          ...plan,
          unreadable: [{ run: 'shop.x', why: 'it is cut off' }],
        })
        expect(refused).toBe('the manifest of shop.x cannot be read: it is cut off')
        expect(decisions.every(({ keep }) => keep)).toBe(true)
      }),
    )
  })

  it('removes nothing where a backup is dated in the future, trusted or not', () => {
    fc.assert(
      fc.property(input, fc.boolean(), fc.integer({ min: 3601, max: 10 ** 7 }), (plan, trusted, seconds) => {
        const run = newRunId('shop', new Date(now.getTime() + seconds * 1000))
        const ahead = { run, time: timeOfRun(run), trusted }
        const { refused, decisions } = planPrune({ ...plan, backups: [...plan.backups, ahead] })
        expect(refused).toContain('future')
        expect(decisions.every(({ keep }) => keep)).toBe(true)
      }),
    )
  })

  it('bears clocks that differ by less than an hour', () => {
    const run = newRunId('shop', new Date(now.getTime() + 3500_000))
    const backups = [{ run, time: timeOfRun(run), trusted: true }]
    expect(
      planPrune({ backups, unreadable: [], now, retentionDays: 30, keepAtLeast: 1 }).refused,
    ).toBeUndefined()
  })

  it('never lets a newer backup that is not trusted stand in for the last good one', () => {
    const [good, forged] = [400, 1].map((age) => newRunId('shop', new Date(now.getTime() - age * day)))
    const plan = planPrune({
      backups: [
        { run: good ?? '', time: timeOfRun(good ?? ''), trusted: true },
        { run: forged ?? '', time: timeOfRun(forged ?? ''), trusted: false },
      ],
      unreadable: [],
      now,
      retentionDays: 30,
      keepAtLeast: 1,
    })
    expect(plan.decisions.every(({ keep }) => keep)).toBe(true)
  })
})
