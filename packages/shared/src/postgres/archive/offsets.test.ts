import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { libpqEnvironment } from '../environment.ts'
import { testServer } from '../test-server.ts'
import { findTools } from '../tools.ts'
import { ArchiveOffsets } from './offsets.ts'

const server = testServer({ beforeAll, afterAll })
let directory: string
/** As pg_dump writes it to a pipe, and to a file. */
let piped: Buffer
let filed: Buffer

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 't-'))
  const database = await server.database()
  await server.run(
    `CREATE TABLE one AS SELECT n, md5(n::text) FROM generate_series(1, 3000) n;
     CREATE TABLE none (a int); CREATE TABLE two AS SELECT repeat('x', 100000) AS x FROM generate_series(1, 3);
     CREATE SEQUENCE s; COMMENT ON TABLE one IS 'a comment';
     SELECT lo_from_bytea(0, repeat('large', 10000)::bytea), lo_from_bytea(0, ''), lo_from_bytea(0, 'x')`,
    database,
  )
  const { pg_dump } = await findTools(server.server.major)
  const env = libpqEnvironment(server.connection(database))
  const run = promisify(execFile)
  const options = { env, encoding: 'buffer' as const, maxBuffer: 2 ** 26 }
  piped = (await run('sh', ['-c', `${pg_dump} -Fc -Z0 | cat`], options)).stdout
  await run(pg_dump, ['-Fc', '-Z0', '-f', join(directory, 'file')], options)
  filed = await readFile(join(directory, 'file'))
})

afterAll(() => rm(directory, { recursive: true }))

/** The archive with the offsets that were found when it passed by in pieces of these sizes. */
function withOffsets(archive: Buffer, sizes: readonly number[]): Buffer | undefined {
  const offsets = new ArchiveOffsets()
  let at = 0
  for (let turn = 0; at < archive.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1
    offsets.push(archive.subarray(at, at + size))
    at += size
  }
  const head = offsets.end()
  return head && Buffer.concat([head, archive.subarray(head.length)])
}

/** Where the two differ, without the time of the dump. */
function differences(one: Buffer, other: Buffer): number[] {
  return [...one.keys()].filter((at) => one[at] !== other[at] && at > 60)
}

describe('the offsets of an archive', () => {
  it('are those that pg_dump writes into a file, in any chunking', () => {
    expect(piped.length).toBe(filed.length)
    expect(differences(piped, filed).length).toBeGreaterThan(0)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 4 }), (sizes) => {
        const mended = withOffsets(piped, sizes)
        expect(mended?.length).toBe(filed.length)
        expect(differences(mended ?? piped, filed)).toEqual([])
      }),
      { numRuns: 30 },
    )
  })

  it('that are there already stay', () => {
    expect(withOffsets(filed, [65_536])?.equals(filed)).toBe(true)
  })

  it('are not written into what is cut off, of another version, or no archive', () => {
    expect(withOffsets(piped.subarray(0, -1), [65_536])).toBeUndefined()
    expect(withOffsets(piped.subarray(0, 300), [65_536])).toBeUndefined()
    const newer = Buffer.from(piped)
    newer[6] = 99
    expect(withOffsets(newer, [65_536])).toBeUndefined()
    expect(withOffsets(Buffer.from('no archive at all'), [65_536])).toBeUndefined()
  })
})
