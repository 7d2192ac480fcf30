import { describe, expect, it } from '@jest/globals'
import { discard } from './discard.ts'

describe('discard', () => {
  it('empties a large buffer and all that shares its memory', () => {
    const whole = Buffer.allocUnsafeSlow(1024 * 1024)
    const part = whole.subarray(100, 200)
    discard(part)
    expect([whole.length, part.length, whole.buffer.byteLength]).toEqual([0, 0, 0])
  })

  it('leaves small buffers alone, whose memory strangers may share', () => {
    const [mine, theirs] = [Buffer.from('mine'), Buffer.from('theirs')]
    discard(mine)
    expect([mine.toString(), theirs.toString()]).toEqual(['mine', 'theirs'])
  })

  it('may be called twice', () => {
    const bytes = Buffer.allocUnsafeSlow(1024 * 1024)
    discard(bytes)
    discard(bytes)
    expect(bytes.length).toBe(0)
  })
})
