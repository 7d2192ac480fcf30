import { expect, it } from '@jest/globals'
import { duration, moment, size } from './written.ts'

it.each([
  [0, '0 bytes'],
  [1023, '1023 bytes'],
  [1024, '1.0 KiB'],
  [596_000_000, '568 MiB'],
  [3 * 2 ** 40, '3.0 TiB'],
])('writes %p bytes as %p', (bytes, text) => {
  expect(size(bytes)).toBe(text)
})

it.each([
  [7.6, '8 s'],
  [59.7, '1 min 0 s'],
  [200, '3 min 20 s'],
  [7500, '2 h 5 min'],
])('writes %p seconds as %p', (seconds, text) => {
  expect(duration(seconds)).toBe(text)
})

it('writes a moment in the schedule’s zone', () => {
  expect(moment(new Date('2026-11-23T02:00:00Z'), 'Europe/Amsterdam')).toBe('Mon 23 Nov 2026, 03:00')
})
