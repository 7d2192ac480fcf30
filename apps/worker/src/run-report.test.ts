import { describe, expect, it } from '@jest/globals'
import type { Results } from '@securyflex/shared/queue'
import { endReport, type ReportInput } from './run-report.ts'

const input: ReportInput = {
  run: 'shop.20261123T020000Z.3fa2',
  request: {
    v: 1,
    source: 'shop',
    requestedBy: 'schedule',
    requestedAt: '2026-11-23T02:00:00.000Z',
    options: {},
  },
  plan: {
    startedAt: '2026-11-23T02:00:01.000Z',
    destinations: ['local'],
    options: {
      compression: { algorithm: 'zstd', level: 3 },
      cipher: 'none',
      fingerprint: 'off',
      retentionDays: 0,
    },
  },
  generation: 0,
  overlaps: 0,
}

type Pruned = Extract<Results['prune'], { backups: number }>
const reportOf = (pruned: Partial<Pruned>) =>
  endReport(
    input,
    {
      outcome: 'success',
      standings: [
        {
          destination: 'local',
          sealed: {
            sealedAt: '2026-11-23T02:01:00.000Z',
            stored: { segments: 1, bytes: 1 },
            manifest: '0'.repeat(64),
          },
          verified: { opened: 1, listed: 0, bytes: 1 },
          pruned: { value: { backups: 0, segments: 0, ...pruned } },
        },
      ],
    },
    new Date('2026-11-23T02:02:00Z'),
  )

describe('what a run reports of its prune', () => {
  it('is a success with a warning where nothing may be removed, and nothing more', () => {
    const { outcome, warnings } = reportOf({ denied: 'These credentials may not delete in nas.' })
    expect(outcome).toBe('success')
    expect(warnings).toEqual([
      'Old backups stay at local until one who may removes them: These credentials may not delete in nas.',
    ])
  })

  it('counts what is locked, without a warning', () => {
    const { destinations, warnings } = reportOf({ backups: 1, locked: 3, bytes: 12 })
    expect(destinations).toMatchObject([
      { outcome: 'verified', pruned: { backups: 1, locked: 3, bytes: 12 } },
    ])
    expect(warnings).toEqual([])
  })

  it('warns where nothing was removed because something looks odd, or no space was freed', () => {
    expect(reportOf({ refused: 'x is dated in the future' }).warnings).toEqual([
      'Nothing was pruned at local: x is dated in the future',
    ])
    expect(reportOf({ backups: 1, unswept: 'what x needs cannot be known' }).warnings).toEqual([
      'No space was freed at local: what x needs cannot be known',
    ])
  })
})
