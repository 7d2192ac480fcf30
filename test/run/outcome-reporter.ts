import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { AggregatedResult, Reporter, TestContext } from '@jest/reporters'

type AssertionResult = AggregatedResult['testResults'][number]['testResults'][number]

interface AllowedSkip {
  readonly file: string
  readonly test: string
}

interface Skip extends AllowedSkip {
  readonly reason: string | undefined
}

const root = join(import.meta.dirname, '../..')

/**
 * Prints each skipped test with its reason, and fails the run when one gives none or, in CI, is not in the committed list
 * test/allowed-skips.json. Writes the counts for the closing line of scripts/test.mjs.
 */
export default class OutcomeReporter implements Pick<Reporter, 'onRunComplete' | 'getLastError'> {
  #error: Error | undefined

  onRunComplete(_contexts: Set<TestContext>, results: AggregatedResult): void {
    const skips = results.testResults.flatMap(({ testFilePath, testResults }) =>
      testResults.filter(isSkipped).map((result) => skipOf(relative(root, testFilePath), result)),
    )
    for (const { file, test, reason } of skips)
      console.error(`skipped: ${file}: ${test}: ${reason ?? 'no reason given'}`)
    const refused = skips.filter((skip) => skip.reason === undefined || !isAllowed(skip))
    if (refused.length > 0) {
      this.#error = new Error(
        `${String(refused.length)} skipped tests give no reason or are not in test/allowed-skips.json.`,
      )
      console.error(this.#error.message)
    }
    const file = process.env['SECURYFLEX_TEST_COUNTS']
    if (file !== undefined)
      writeFileSync(file, JSON.stringify(countsOf(results, skips.length, refused.length)))
  }

  getLastError(): Error | undefined {
    return this.#error
  }
}

/** A test file that does not even load counts as one failure. */
function countsOf(results: AggregatedResult, skipped: number, refused: number): Record<string, number> {
  const failed = results.numFailedTests + results.numRuntimeErrorTestSuites + refused
  return { passed: results.numPassedTests, failed, skipped }
}

function isSkipped({ status }: AssertionResult): boolean {
  return status === 'pending' || status === 'todo' || status === 'disabled' || status === 'skipped'
}

/** The reason stands at the end of the title: see helpers/test-where.ts. */
function skipOf(file: string, { fullName }: AssertionResult): Skip {
  const [, test = fullName, reason] = /^(.*) \[skipped: (.+)\]$/.exec(fullName) ?? []
  return { file, test, reason }
}

function isAllowed({ file, test }: Skip): boolean {
  if (!process.env['CI']) return true
  const list = JSON.parse(readFileSync(join(root, 'test/allowed-skips.json'), 'utf8')) as AllowedSkip[]
  return list.some((allowed) => allowed.file === file && allowed.test === test)
}
