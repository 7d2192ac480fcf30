import { describe, it } from '@jest/globals'
import fc from 'fast-check'
import { histories } from './history.ts'
import { play } from './play.ts'

/** Histories that went wrong once; each goes on to be told. */
const seeds = [1]

describe('a repository, whatever befalls it', () => {
  it('keeps its promises in 300 histories of backups, prunes, words and crashes', async () => {
    await fc.assert(fc.asyncProperty(histories, play), { numRuns: 300 })
  })

  it.each(seeds)('keeps its promises in the histories of seed %i', async (seed) => {
    await fc.assert(fc.asyncProperty(histories, play), { numRuns: 200, seed })
  })
})
