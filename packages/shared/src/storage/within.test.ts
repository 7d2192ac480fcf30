import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { openStorageForReading, within } from './index.ts'

const storage = openStorageForReading({ kind: 'local', name: 'local', directory: '/nowhere' })

describe('what has to be done within a time', () => {
  it('is given up after that, and nothing more is asked of the place', async () => {
    const late = within(20, storage, async (place) => {
      await wait(60)
      return place.get('key')
    })
    await expect(late).rejects.toMatchObject({
      code: 'STORAGE_UNREACHABLE',
      message: '/nowhere did not answer within 0.02 seconds.',
    })
  })

  it('gives what came of it', async () => {
    expect(await within(10_000, storage, (place) => place.get('key'))).toBeUndefined()
  })
})
