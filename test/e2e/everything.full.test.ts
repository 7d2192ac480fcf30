import { afterAll, beforeAll, describe, expect, jest } from '@jest/globals'
import { settingsOf, thingsOf } from '../fixtures/everything/index.ts'
import { type Trial, tryEverything } from '../helpers/everything.ts'
import { isThere, testWith } from '../helpers/majors.ts'

const minutes = 60_000
jest.setTimeout(3 * minutes)

/** Catalogues in which a newer server has another default, or one privilege more, for what is the same. */
const catalogueOfMajor = /\b(?:pg_class|pg_attribute|pg_default_acl|pg_subscription|pg_statistic_ext)\b/

describe.each([
  [15, 15],
  [17, 17],
  [18, 18],
  [15, 18],
] as const)('from a backup of PostgreSQL %i to a restore into %i', (major, into) => {
  const test = testWith(major, into)
  let trial: Trial

  if (isThere(major) && isThere(into)) {
    beforeAll(async () => {
      trial = await tryEverything(major, into)
    }, 5 * minutes)
    afterAll(async () => {
      await trial[Symbol.asyncDispose]()
    }, minutes)
  }

  for (const { title, queries } of thingsOf(major)) {
    test(`${title} come back as they were`, async () => {
      const { copy, source } = trial
      for (const query of queries) {
        if (major !== into && catalogueOfMajor.test(query)) continue
        expect({ query, ...(await copy.rows(query)) }).toEqual({ query, ...(await source.rows(query)) })
      }
    })
  }

  if (major === into) {
    test('every definition comes back as pg_dump writes it, that of the database itself, too', async () => {
      const { copy, source } = trial
      expect(await copy.definitions({ create: true })).toBe(await source.definitions({ create: true }))
    })
  }

  test('the product finds no difference either', () => {
    const { comparison, properties } = trial.restoration
    expect(comparison).toMatchObject({ differences: [] })
    expect(comparison?.compared['tables']).toBeGreaterThan(50)
    expect(comparison?.compared['checksums']).toBe(comparison?.compared['tables'])
    // A newer server brings newer extensions.
    const expected =
      major === into
        ? []
        : Array(comparison?.notes.length).fill(expect.stringMatching(/^Extension \w+ has version/))
    expect(comparison?.notes).toEqual(expected)
    // The owner is given apart.
    expect(properties).toEqual({ applied: settingsOf(major).length - 1, refused: [] })
  })
})
