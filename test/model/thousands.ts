import { describe, it } from '@jest/globals'
import fc from 'fast-check'
import { histories } from './history.ts'
import { play } from './play.ts'

/** All in all 10,000, in two files: jest has as many workers. */
const many = 5000

/**
 * Tells thousands of histories. A failure names the seed and the shortest history that goes wrong.
 * @param share which half
 */
export function tellThousands(share: string): void {
  describe('a repository, whatever befalls it', () => {
    it(`keeps its promises in the ${share} 5,000 histories`, async () => {
      await fc.assert(fc.asyncProperty(histories, play), { numRuns: many })
    }, 900_000)
  })
}
