import { describe, expect, it } from '@jest/globals'
import { ownLine } from './index.ts'

describe('a line of one process', () => {
  it('lets pass at once what an idle line may catch up with', async () => {
    const began = performance.now()
    await ownLine(1000).take(1_000_000)
    expect(performance.now() - began).toBeLessThan(500)
  })

  it('makes those who come later wait until the bytes before theirs have passed', async () => {
    const line = ownLine(1_000_000)
    const began = performance.now()
    await Promise.all(Array.from({ length: 4 }, () => line.take(500_000)))
    expect(performance.now() - began).toBeGreaterThanOrEqual(450)
  })

  it('lets nobody wait whose signal aborts', async () => {
    const line = ownLine(1)
    await line.take(1_000_000)
    const waiting = new AbortController()
    const taken = line.take(1, waiting.signal)
    waiting.abort()
    await expect(taken).rejects.toMatchObject({ name: 'AbortError' })
  })
})
