import { randomInt } from 'node:crypto'
import { describe, it } from '@jest/globals'
import type { Deed, History } from './history.ts'
import { play } from './play.ts'
import { tell } from './tell.ts'

/** Of histories that are told each time; those of one that went wrong are added. */
const seeds = [1, 3, 5, 7, 9]

const alone = { seed: 0, faults: 0, killedAfter: undefined, late: 0, hours: 0 }
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
    await tell(randomInt(2 ** 31), 300)
  })

  it.each(seeds)(
    'keeps its promises in 100 histories of backups, prunes, words and crashes, of seed %i',
    async (seed) => {
      await tell(seed, 100)
    },
  )

  it('has no backup that is called good and lacks what a prune removed late', async () => {
    // A run fails and leaves segments; much later one stores them again while a prune removes them.
    const failing = { ...alone, seed: 283030727, faults: 60 }
    for (let seed = 0; seed < 200; seed++) {
      await play(
        told(
          { do: 'backup', edits: [], alike: failing },
          { do: 'wait', hours: 400 },
          { do: 'both', edits: [{ at: 1, becomes: 0 }], prunes: 1, alike: { ...alone, seed, late: 20 } },
        ),
      )
    }
  })

  it.each(['gone', 'cut off', 'altered'] as const)(
    'is backed up again although any one object of the newest backup is %s',
    async (how) => {
      for (let which = 0; which < 5; which++) {
        await play(told({ do: 'backup', edits: [], alike: alone }, { do: 'rot', which, how }))
      }
    },
  )
})
