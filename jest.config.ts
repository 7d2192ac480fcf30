import { availableParallelism } from 'node:os'
import type { Config } from 'jest'

/**
 * `npm test` leaves out `*.full.test.ts`, which need more than PostgreSQL and Redis; `npm run test:full` runs all.
 * Node runs the same TypeScript as it is, so jest only strips types; `npm run typecheck` checks them.
 */
const config: Config = {
  testEnvironment: 'node',
  roots: ['<rootDir>/packages', '<rootDir>/apps', '<rootDir>/test', '<rootDir>/scripts'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(process.env['SECURYFLEX_TEST_FULL'] ? [] : ['\\.full\\.test\\.ts$']),
  ],
  moduleFileExtensions: ['ts', 'mts', 'mjs', 'js', 'cjs', 'json', 'node'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['ts-jest', { useESM: true, diagnostics: false }] },
  globalSetup: '<rootDir>/test/run/global-setup.ts',
  globalTeardown: '<rootDir>/test/run/global-teardown.ts',
  reporters: ['default', '<rootDir>/test/run/outcome-reporter.ts'],
  // A test that hangs is told from a machine that stood still for some minutes, as shared ones do.
  testTimeout: 300_000,
  maxWorkers: Math.min(2, availableParallelism()),
}

export default config
