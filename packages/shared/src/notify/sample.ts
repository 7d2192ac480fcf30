import type { FinishedRun } from './message.ts'

/** A run for tests: it ended well after 37 seconds. */
export const finishedRun: FinishedRun = {
  run: 'shop.20261123T020000Z.3fa2',
  source: 'shop',
  outcome: 'success',
  requestedBy: 'schedule',
  requestedAt: '2026-11-23T02:00:00.000Z',
  startedAt: '2026-11-23T02:00:01.000Z',
  finishedAt: '2026-11-23T02:00:38.000Z',
  bytes: 596_000_000,
  destinations: [{ name: 'local', outcome: 'verified', stored: { bytes: 800_000 } }],
  warnings: [],
  overlaps: 0,
}
