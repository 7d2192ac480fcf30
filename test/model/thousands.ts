import { describe, it } from '@jest/globals'
import { tell } from './tell.ts'

/** All in all 10,000, in two files: jest has as many workers. */
const many = 5000
/** The same ones each time, so that a run says something of the change that it tests; new ones with another number. */
const seed = Number(process.env['SECURYFLEX_TEST_SEED'] ?? '20261123')

/**
 * Tells thousands of histories.
 * @param share which half
 */
export function tellThousands(share: 'first' | 'second'): void {
  describe('a repository, whatever befalls it', () => {
    it(`keeps its promises in the ${share} 5,000 histories`, async () => {
      await tell(share === 'first' ? seed : seed + 1, many)
    }, 1_800_000)
  })
}
