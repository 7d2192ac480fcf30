import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { describe, expect } from '@jest/globals'
import pg from 'pg'
import { programsOf, startMajor, testWith } from '../../../../../test/helpers/majors.ts'
import { administrationUrl } from '../../../../../test/helpers/postgres.ts'
import { temporaryDirectory } from '../../../../../test/helpers/temporary-directory.ts'
import { ArchiveOffsets } from './offsets.ts'

const run = promisify(execFile)

/** More large objects than pg_dump 17 and newer put into one entry, so that there are several. */
const content = `
  CREATE TABLE one AS SELECT n, md5(n::text) FROM generate_series(1, 3000) n; CREATE TABLE none (a int);
  CREATE TABLE two AS SELECT repeat('x', 100000) AS x FROM generate_series(1, 3); CREATE SEQUENCE s;
  SELECT lo_from_bytea(0, convert_to('number ' || n, 'UTF8')) FROM generate_series(1, 2500) AS n;
  SELECT lo_create(1)`

/** The version that the header of a custom archive gives. */
const versionOf = (archive: Buffer) => `${String(archive[5])}.${String(archive[6])}`

describe('the offsets of an archive that was made by pg_dump', () => {
  for (const [major, version] of [
    [15, '1.14'],
    [17, '1.16'],
    [18, '1.16'],
  ] as const) {
    testWith(major)(`${String(major)} are those that it writes into a file`, async () => {
      await using server = await startMajor(major)
      await using directory = await temporaryDirectory()
      const url = await administrationUrl(server.access)
      const client = new pg.Client(url)
      await client.connect()
      await client.query(content)
      await client.end()
      const dump = `${programsOf(major)}/pg_dump -Fc -Z0`
      await run('sh', ['-c', `${dump} "$1" | cat > piped; ${dump} -f filed "$1"`, 'sh', url], {
        cwd: directory.path,
      })
      const [piped, filed] = [
        await readFile(directory.join('piped')),
        await readFile(directory.join('filed')),
      ]
      expect(versionOf(filed)).toBe(version)
      const offsets = new ArchiveOffsets()
      offsets.push(piped)
      const head = offsets.end() ?? Buffer.alloc(0)
      expect(head.length).toBeGreaterThan(0)
      // The header's time of the dump aside, which ends before this byte.
      expect(head.subarray(60).equals(filed.subarray(60, head.length))).toBe(true)
      expect(piped.subarray(60, head.length).equals(head.subarray(60))).toBe(false)
    })
  }
})
