import { describe, it } from '@jest/globals'
import fc from 'fast-check'
import { type Deed, histories, type History } from './history.ts'
import { play } from './play.ts'

/** Of histories that are told each time; those of one that went wrong are added. */
const seeds = [1, 3, 5, 7, 9]

const alone = { seed: 0, faults: 0, killedAfter: undefined, hours: 0 }
const told = (...deeds: Deed[]): History => ({
  encrypted: true,
  retention: {
    days: 1,
    last: undefined,
    daily: undefined,
    weekly: undefined,
    monthly: undefined,
    yearly: undefined,
    minimum: 1,
  },
  timeZone: 'UTC',
  deeds,
})

describe('a repository, whatever befalls it', () => {
  it('keeps its promises in 300 histories that nobody has told before', async () => {
    await fc.assert(fc.asyncProperty(histories, play), { numRuns: 300 })
  })

  it.each(seeds)(
    'keeps its promises in 100 histories of backups, prunes, words and crashes, of seed %i',
    async (seed) => {
      await fc.assert(fc.asyncProperty(histories, play), { numRuns: 100, seed })
    },
  )

  it.each(['gone', 'cut off', 'altered'] as const)(
    'is backed up again although any one object of the newest backup is %s',
    async (how) => {
      for (let which = 0; which < 5; which++) {
        await play(told({ do: 'backup', edits: [], alike: alone }, { do: 'rot', which, how }))
      }
    },
  )
})
