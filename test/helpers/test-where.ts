import { it } from '@jest/globals'

/**
 * `it` where the test can run, else a skip that says why; in CI the skip must be in test/allowed-skips.json.
 *
 *     testWhere(process.platform === 'linux', 'only Linux has /proc')('finds orphans', async () => { … })
 */
export function testWhere(
  possible: boolean,
  reason: string,
): (title: string, test: () => Promise<void> | void) => void {
  if (possible) return it
  return (title, test) => {
    it.skip(`${title} [skipped: ${reason}]`, test)
  }
}
