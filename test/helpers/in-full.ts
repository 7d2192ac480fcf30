/** Cases that only the long run of the tests tries (`npm run test:full`): they prove the same of more places. */
export function onlyInFull<T>(...cases: readonly T[]): readonly T[] {
  return process.env['SECURYFLEX_TEST_FULL'] === undefined ? [] : cases
}
