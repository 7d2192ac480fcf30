// Every storage driver against a real server, one suite for all: `npm run test:contract`, about five minutes. Azurite comes
// with the modules, Ceph from the system's packages; Google's service is stood in for by a server of the tests' own.
process.env['SECURYFLEX_TEST_FULL'] = '1'
// What memory uploads hold is measured after what nobody holds has been collected.
process.env['SECURYFLEX_TEST_GC'] = '1'
process.argv.splice(2, 0, '--runInBand', 'test/contract/(local|s3|azure|gcs)')
await import('./test.mjs')
