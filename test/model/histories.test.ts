import { randomInt } from 'node:crypto'
import { describe, it } from '@jest/globals'
import type { Deed, History } from './history.ts'
import { play } from './play.ts'
import { tell } from './tell.ts'

/** Of histories that are told each time; those of one that went wrong are added. */
const seeds = [1, 3, 5]

const alone = { seed: 0, faults: 0, killedAfter: undefined, late: 0, hours: 0, mayRemove: true }
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
  ahead: [0, 0],
  deeds,
})

describe('a repository, whatever befalls it', () => {
  it('keeps its promises in 200 histories that nobody has told before', async () => {
    await tell(randomInt(2 ** 31), 200)
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
    for (let seed = 0; seed < 100; seed++) {
      await play(
        told(
          { do: 'backup', to: [0], edits: [], alike: failing },
          { do: 'wait', hours: 400 },
          {
            do: 'both',
            to: [0],
            edits: [{ at: 1, becomes: 0 }],
            at: 0,
            beside: ['prune'],
            alike: { ...alone, seed, late: 20 },
          },
        ),
      )
    }
  })

  it('has the backup that builds on an older one succeed while a copy of a newer one comes', async () => {
    const both = { do: 'backup', to: [0, 1], edits: [], alike: alone } as const
    const near = { do: 'backup', to: [0], edits: [{ at: 2, becomes: 0 }], alike: alone } as const
    for (let seed = 0; seed < 50; seed++) {
      const beside = { to: [1], edits: [{ at: 2, becomes: 2 }], at: 1, beside: ['copy'] } as const
      await play(told(both, near, { do: 'both', ...beside, alike: { ...alone, seed } }))
    }
  })

  it.each(['gone', 'cut off', 'altered', 'swapped'] as const)(
    'is backed up again although any one object of the newest backup is %s',
    async (how) => {
      for (let which = 0; which < 5; which++) {
        await play(told({ do: 'backup', to: [0], edits: [], alike: alone }, { do: 'rot', at: 0, which, how }))
      }
    },
  )
})
