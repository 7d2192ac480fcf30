// Kills a worker at every point of a run, one after the other: `npm run test:kill`, ten to twenty minutes.
// SECURYFLEX_TEST_KILL=<text> tries only the points whose title holds the text.
process.env['SECURYFLEX_TEST_KILL'] ??= 'all'
process.env['SECURYFLEX_TEST_FULL'] = '1'
process.argv.splice(2, 0, 'test/e2e/killed-anywhere')
await import('./test.mjs')
