import { describe, expect, it } from '@jest/globals'
import { Secret } from '@securyflex/shared/errors'
import { composeMessage, type FinishedRun, messageSchema } from './index.ts'
import { finishedRun } from './sample.ts'

describe('the announcement', () => {
  it.each<[string, Partial<FinishedRun>, string]>([
    ['a success', {}, 'Backup of shop succeeded (596.0 MB in 37 s, 800.0 kB new at local).'],
    [
      'a failure',
      {
        outcome: 'failed',
        bytes: undefined,
        destinations: [],
        code: 'DUMP_FAILED',
        reason: 'pg_dump ended with 1.',
        hint: 'Look.',
      },
      'Backup of shop failed (37 s). pg_dump ended with 1. Look.',
    ],
    [
      'a degraded run',
      { outcome: 'degraded', destinations: [{ name: 'b', outcome: 'failed', reason: 'It is full.' }] },
      'Backup of shop succeeded only in part: it can be restored, but is missing at a destination (596.0 MB in 37 s). b: It is full.',
    ],
    [
      'a cancelled run of some hours',
      { outcome: 'cancelled', bytes: 0, destinations: [], finishedAt: '2026-11-23T05:30:01.000Z' },
      'Backup of shop was cancelled (0 B in 3 h 30 min).',
    ],
    [
      'a run with warnings',
      { destinations: [], warnings: ['Nothing was pruned.'] },
      'Backup of shop succeeded (596.0 MB in 37 s). Nothing was pruned.',
    ],
  ])('of %s fits the schema and says so', (_, change, text) => {
    const message = composeMessage({ ...finishedRun, ...change })
    expect(message.text).toBe(text)
    expect(messageSchema.parse(JSON.parse(JSON.stringify(message)))).toEqual(message)
  })

  it('has no secrets, whoever wrote the reason', () => {
    new Secret('planted-password')
    const reason = 'planted-password was refused'
    const destinations = [{ name: 'local', outcome: 'failed', reason }]
    const message = composeMessage({
      ...finishedRun,
      outcome: 'failed',
      reason,
      hint: reason,
      destinations,
      warnings: [reason],
    })
    expect(JSON.stringify(message)).not.toContain('planted-password')
  })

  it('is not made of a run that has not ended', () => {
    expect(() => composeMessage({ ...finishedRun, outcome: 'running' })).toThrow('has not ended')
    expect(() => composeMessage({ ...finishedRun, finishedAt: undefined })).toThrow('has not ended')
  })

  it('has no negative duration when the clock was set back', () => {
    expect(composeMessage({ ...finishedRun, finishedAt: finishedRun.requestedAt }).durationSeconds).toBe(0)
  })
})
